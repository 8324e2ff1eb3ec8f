#include "bench/method_report/trace.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "bench/method_report/probe_parts.h"
#include "worker/trainer/optim/adamw.h"
#include "worker/trainer/train/failure.h"

namespace dropbp::bench {
namespace {

using trainer::AdamW;
using trainer::Decoder;
using trainer::ProbeMeasure;
using trainer::ProbeNorms;
using trainer::StepBatch;
using trainer::TrainableParameter;

using Tensors = std::vector<at::Tensor>;

at::Tensor Copy(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.detach().clone(at::MemoryFormat::Contiguous) : tensor;
}

struct State {
  State(const Decoder& model, const AdamW& optimizer) {
    for (const TrainableParameter& parameter : model.trainable()) {
      parameters.push_back(Copy(parameter.value));
      gradients.push_back(Copy(parameter.value.grad()));
    }
    for (const AdamW::State& state : optimizer.states()) {
      for (const at::Tensor& tensor : {state.first_moment, state.second_moment, state.step})
        moments.push_back(Copy(tensor));
    }
    generator.push_back(at::detail::getDefaultCPUGenerator().get_state());
  }

  Tensors parameters;
  Tensors gradients;
  Tensors moments;
  Tensors generator;
};

bool SameBits(const at::Tensor& a, const at::Tensor& b) {
  if (a.defined() != b.defined()) return false;
  return !a.defined() || (a.nbytes() == b.nbytes() &&
                          std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0);
}

Changed Compare(const Tensors& before, const Tensors& after) {
  Changed changed{.of = static_cast<int64_t>(before.size())};
  for (size_t i = 0; i < before.size(); ++i) changed.tensors += !SameBits(before[i], after[i]);
  return changed;
}

void Backward(Decoder& model, const StepBatch& batch, const MaskRow& keep) {
  for (const trainer::MicroBatch& micro : batch.micro_batches) {
    const at::Tensor loss = model.LossSum(model.Forward(micro.tokens(), keep), micro.targets);
    if (loss.requires_grad()) loss.backward();
  }
}

std::string Text(const Changed& changed) {
  return absl::StrCat(changed.tensors, " of ", changed.of);
}

nlohmann::ordered_json TraceRow(const std::string& probe, const Trace& trace) {
  return {{"probe", probe},
          {"parameters", Text(trace.parameters)},
          {"gradients", Text(trace.gradients)},
          {"optimizer", Text(trace.optimizer)},
          {"generator", Text(trace.generator)}};
}

}  // namespace

Trace TraceOf(Decoder& model, const StepBatch& batch, ProbeMeasure measure,
              absl::Span<const int> units) {
  AdamW optimizer(model.trainable(), TrainingSpec{});
  Backward(model, batch, {});
  optimizer.Step(1e-4);
  optimizer.ClearGradients();
  Backward(model, batch, {});
  at::rand({1});  // a generator that is not as seeded
  const State before(model, optimizer);
  measure(model, batch, units);
  const State after(model, optimizer);
  optimizer.ClearGradients();
  return {.parameters = Compare(before.parameters, after.parameters),
          .gradients = Compare(before.gradients, after.gradients),
          .optimizer = Compare(before.moments, after.moments),
          .generator = Compare(before.generator, after.generator)};
}

ProbeNorms MeasureAsTheAuthors(Decoder& model, const StepBatch& batch,
                               absl::Span<const int> units) {
  for (const int unit : units) {
    at::manual_seed(0);
    for (const TrainableParameter& parameter : model.trainable()) {
      const at::Tensor gradient = parameter.value.grad();
      if (gradient.defined()) gradient.zero_();
    }
    MaskRow keep(static_cast<size_t>(2 * model.config().shape.layers), true);
    keep[static_cast<size_t>(unit)] = false;
    Backward(model, batch, keep);
  }
  return {};
}

absl::StatusOr<Section> TraceSection(const ProbeOptions& options) {
  Section section{
      .key = "trace",
      .heading = "What a probe leaves behind",
      .title =
          "Tensors of the training state whose bits a probe changes that runs while gradients "
          "are being accumulated; torch's generator counts as one.",
      .columns = {{"probe", "probe"},
                  {"parameters", "parameters"},
                  {"gradients", "gradients"},
                  {"optimizer", "optimizer"},
                  {"generator", "generator"}}};
  RETURN_IF_ERROR(trainer::RunTorch("trace", [&]() -> absl::Status {
    at::set_num_threads(options.threads);
    ASSIGN_OR_RETURN(const StepBatch batch, ProbeBatchOf(options));
    ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> model, ProbeModelOf(options));
    std::vector<int> units(static_cast<size_t>(2 * model->config().shape.layers));
    std::iota(units.begin(), units.end(), 0);
    section.rows.push_back(
        TraceRow("ours", TraceOf(*model, batch, trainer::MeasureBySuffixes, units)));
    section.rows.push_back(TraceRow("authors' code", TraceOf(*model, batch, MeasureAsTheAuthors,
                                                             {units.front(), units.back()})));
    return absl::OkStatus();
  }));
  return section;
}

}  // namespace dropbp::bench
