#include "bench/study/curve.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "core/job/job_fields.h"
#include "core/job/job_values.h"
#include "worker/trainer/model/adapter_config.h"
#include "worker/trainer/train/batch.h"
#include "worker/trainer/train/failure.h"

namespace dropbp::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kEvalBatch = 8;  // sequences

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Of similar length next to one another, so that little is padding.
std::vector<int64_t> ByLength(const std::vector<data::Sample>& samples) {
  std::vector<int64_t> order(samples.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return samples[static_cast<size_t>(a)].ids.size() < samples[static_cast<size_t>(b)].ids.size();
  });
  return order;
}

Json FieldsOf(const JobSpec& spec) {
  Json fields = Json::object();
  for (const JobField& field : JobFields())
    fields[std::string(field.path)] = FormatField(field, spec);
  return fields;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Curve>> Curve::Make(const CurveOptions& options, CurveSink sink) {
  if (options.spec.resources.ranks != 1) {
    return absl::InvalidArgumentError("resources.ranks: legal in a study is 1");
  }
  std::unique_ptr<Curve> curve(new Curve(options, std::move(sink)));
  RETURN_IF_ERROR(trainer::RunTorch("load", [&] { return curve->Load(); }));
  RETURN_IF_ERROR(trainer::RunTorch("begin", [&] { return curve->Begin(); }));
  return curve;
}

Curve::Curve(const CurveOptions& options, CurveSink sink)
    : options_(options), sink_(std::move(sink)) {}

absl::Status Curve::Load() {
  at::set_num_threads(options_.threads);
  const JobSpec& spec = options_.spec;
  ASSIGN_OR_RETURN(train_,
                   data::LoadDataset(options_.train_file, spec.dataset, options_.model_dir));
  ASSIGN_OR_RETURN(eval_, data::LoadDataset(options_.eval_file, spec.dataset, options_.model_dir));
  const auto limit = static_cast<size_t>(options_.eval_samples);
  if (limit > 0 && limit < eval_.samples.size()) eval_.samples.resize(limit);
  ASSIGN_OR_RETURN(model_, trainer::Decoder::Load(options_.model_dir,
                                                  trainer::OptionsFor(spec, options_.device)));
  return absl::OkStatus();
}

absl::Status Curve::Begin() {
  trainer::Assignment assignment;
  assignment.job_id = "study";
  assignment.spec = options_.spec;
  assignment.device = options_.device;
  assignment.threads = options_.threads;
  link_ = std::make_unique<trainer::MemoryLink>(assignment, nullptr);
  ASSIGN_OR_RETURN(trainer_, trainer::Trainer::Make(link_.get(), model_.get(), train_, nullptr));
  sink_({{"event", "start"},
         {"total_steps", trainer_->total_steps()},
         {"train_samples", train_.samples.size()},
         {"eval_samples", eval_.samples.size()},
         {"threads", options_.threads},
         {"job", FieldsOf(options_.spec)}});
  Evaluate();
  const auto begin = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(trainer_->Begin());
  seconds_ += SecondsSince(begin);
  return absl::OkStatus();
}

absl::Status Curve::Advance() {
  do {
    RETURN_IF_ERROR(Step());
  } while (!done() && trainer_->next_step() % options_.eval_every != 0);
  RETURN_IF_ERROR(trainer::RunTorch("evaluation", [&] {
    Evaluate();
    return absl::OkStatus();
  }));
  if (done()) End();
  return absl::OkStatus();
}

absl::Status Curve::Step() {
  const auto begin = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(trainer_->RunOnce());
  seconds_ += SecondsSince(begin);
  const trainer::StepReport& report = link_->steps.back();
  const double flops = report.backward_flops_done + report.backward_flops_saved;
  sink_({{"event", "step"},
         {"step", trainer_->next_step()},
         {"seconds", seconds_},
         {"step_seconds", report.step_seconds},
         {"forward_seconds", report.forward_seconds},
         {"backward_seconds", report.backward_seconds},
         {"loss", report.loss},
         {"tokens", report.tokens},
         {"supervised_tokens", report.supervised_tokens},
         {"dropped", flops > 0 ? report.backward_flops_saved / flops : 0.0},
         {"grad_norm", report.grad_norm},
         {"learning_rate", report.learning_rate},
         {"plan_version", report.plan_version}});
  return absl::OkStatus();
}

double Curve::ValidationLoss() {
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> order = ByLength(eval_.samples);
  double sum = 0;
  int64_t count = 0;
  for (size_t begin = 0; begin < order.size(); begin += kEvalBatch) {
    const auto batch = absl::MakeConstSpan(order).subspan(begin, kEvalBatch);
    const trainer::MicroBatch micro =
        trainer::MakeMicroBatch(eval_.samples, batch, c10::Device(options_.device));
    sum += model_->LossSum(model_->Forward(micro.ids, {}), micro.targets).item<double>();
    for (int64_t i : batch) count += eval_.samples[static_cast<size_t>(i)].SupervisedTokens();
  }
  return sum / static_cast<double>(count);
}

void Curve::Evaluate() {
  model_->SetTraining(false);
  const double loss = ValidationLoss();
  model_->SetTraining(true);
  sink_(
      {{"event", "eval"}, {"step", trainer_->next_step()}, {"seconds", seconds_}, {"loss", loss}});
}

void Curve::End() {
  double probe_seconds = 0;
  for (const trainer::ProbeReport& probe : link_->probes) probe_seconds += probe.seconds;
  sink_({{"event", "end"},
         {"step", trainer_->next_step()},
         {"seconds", seconds_},
         {"probes", link_->probes.size()},
         {"probe_seconds", probe_seconds},
         {"peak_memory_bytes", link_->steps.back().peak_memory_bytes}});
}

}  // namespace dropbp::bench
