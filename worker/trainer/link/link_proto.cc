#include "worker/trainer/link/link_proto.h"

#include "core/base/text.h"
#include "proto/support/job_spec_proto.h"

namespace dropbp::trainer {

Assignment AssignmentFromProto(const v1::Assignment& proto) {
  Assignment assignment;
  assignment.job_id = proto.job_id();
  assignment.attempt = proto.attempt();
  assignment.rank = proto.rank();
  assignment.world_size = proto.world_size();
  assignment.spec = JobSpecFromProto(proto.spec());
  assignment.model_dir = proto.model_dir();
  assignment.dataset_path = proto.dataset_path();
  assignment.mix_paths = {proto.mix_paths().begin(), proto.mix_paths().end()};
  assignment.output_dir = proto.output_dir();
  assignment.device = proto.device();
  assignment.threads = proto.threads();
  assignment.host_address = proto.host_address();
  assignment.checkpoint_dir = proto.checkpoint_dir();
  assignment.validation_path = proto.validation_path();
  assignment.init_dir = proto.init_dir();
  return assignment;
}

v1::StepReport StepReportToProto(const StepReport& report) {
  v1::StepReport proto;
  proto.set_step(report.step);
  proto.set_loss(report.loss);
  proto.set_learning_rate(report.learning_rate);
  proto.set_grad_norm(report.grad_norm);
  proto.set_tokens(report.tokens);
  proto.set_supervised_tokens(report.supervised_tokens);
  proto.set_backward_flops_done(report.backward_flops_done);
  proto.set_backward_flops_saved(report.backward_flops_saved);
  proto.set_gradient_bytes_sent(report.gradient_bytes_sent);
  proto.set_gradient_bytes_dense(report.gradient_bytes_dense);
  proto.set_step_seconds(report.step_seconds);
  proto.set_data_seconds(report.data_seconds);
  proto.set_forward_seconds(report.forward_seconds);
  proto.set_backward_seconds(report.backward_seconds);
  proto.set_all_reduce_seconds(report.all_reduce_seconds);
  proto.set_optimizer_seconds(report.optimizer_seconds);
  proto.set_peak_memory_bytes(report.peak_memory_bytes);
  proto.set_mask_hash(report.mask_hash);
  proto.set_plan_version(report.plan_version);
  return proto;
}

v1::ProbeReport ProbeReportToProto(const ProbeReport& report) {
  v1::ProbeReport proto;
  proto.set_step(report.step);
  proto.mutable_base_norms()->Add(report.base_norms.begin(), report.base_norms.end());
  for (const ProbeReport::UnitNorms& unit : report.units) {
    v1::UnitNorms& norms = *proto.add_units();
    norms.set_unit(unit.unit);
    norms.mutable_norms()->Add(unit.norms.begin(), unit.norms.end());
  }
  proto.set_seconds(report.seconds);
  return proto;
}

v1::Evaluation EvaluationReportToProto(const EvaluationReport& report) {
  v1::Evaluation proto;
  proto.set_step(report.step);
  proto.set_loss(report.loss);
  proto.set_supervised_tokens(report.supervised_tokens);
  proto.set_seconds(report.seconds);
  for (const EvaluationReport::Answer& answer : report.answers) {
    v1::SampleText& sample = *proto.add_samples();
    sample.set_prompt(ToValidUtf8(answer.prompt));
    sample.set_text(ToValidUtf8(answer.text));
  }
  return proto;
}

v1::PlanDigest PlanDigestOf(const DropPlan& plan) {
  v1::PlanDigest proto;
  proto.set_plan_version(plan.version);
  proto.set_first_step(plan.first_step);
  proto.mutable_keep_rates()->Add(plan.keep_rates.begin(), plan.keep_rates.end());
  proto.set_hash(PlanHash(plan));
  return proto;
}

v1::TrainerCheckpoint CheckpointReportToProto(const CheckpointReport& report) {
  v1::TrainerCheckpoint proto;
  proto.set_step(report.step);
  proto.set_file(report.file);
  proto.set_error(ToValidUtf8(report.error));
  v1::JobProgress& progress = *proto.mutable_progress();
  progress.set_step(report.step);
  progress.set_backward_flops_done(report.totals.backward_flops_done);
  progress.set_backward_flops_saved(report.totals.backward_flops_saved);
  progress.set_gradient_bytes_sent(report.totals.gradient_bytes_sent);
  progress.set_gradient_bytes_dense(report.totals.gradient_bytes_dense);
  progress.set_tokens(report.totals.tokens);
  progress.set_loss(report.totals.loss);
  progress.set_learning_rate(report.totals.learning_rate);
  progress.set_grad_norm(report.totals.grad_norm);
  return proto;
}

v1::TrainerFailure FailureToProto(FailureKind kind, const std::string& message) {
  v1::TrainerFailure proto;
  proto.set_kind(static_cast<v1::TrainerFailure::Kind>(kind));
  proto.set_message(ToValidUtf8(message));
  return proto;
}

}  // namespace dropbp::trainer
