#include "worker/trainer/checkpoint/checkpoint_part.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "core/checkpoint/split.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/model/tensor_views.h"

namespace dropbp::trainer {
namespace {

// Number vectors of the state as a tensor of the file; `values` outlives the view.
template <typename Number>
hf::TensorView ViewOf(hf::TensorType type, const std::vector<Number>& values) {
  return {
      .type = type,
      .shape = {static_cast<int64_t>(values.size())},
      .data = {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(Number)}};
}

std::vector<double> Numbers(const TrainingTotals& totals) {
  return {totals.backward_flops_done,
          totals.backward_flops_saved,
          static_cast<double>(totals.gradient_bytes_sent),
          static_cast<double>(totals.gradient_bytes_dense),
          static_cast<double>(totals.tokens),
          totals.loss,
          totals.learning_rate,
          totals.grad_norm};
}

}  // namespace

at::Tensor HostCopy(const at::Tensor& tensor) {
  return tensor.detach()
      .to(at::kCPU, tensor.scalar_type(), /*non_blocking=*/false, /*copy=*/true)
      .contiguous();
}

std::string ValueName(const std::string& parameter) { return "value/" + parameter; }
std::string FirstMomentName(const std::string& parameter) { return "first_moment/" + parameter; }
std::string SecondMomentName(const std::string& parameter) { return "second_moment/" + parameter; }
std::string UpdatesName(const std::string& parameter) { return "updates/" + parameter; }
std::string BestValueName(const std::string& parameter) { return "best_value/" + parameter; }

CheckpointPartData CopyPart(const PartOwner& owner, const TrainingState& state,
                            const std::vector<TrainableParameter>& parameters,
                            const AdamW& optimizer) {
  at::NoGradGuard no_grad;
  std::vector<int64_t> bytes;
  for (const TrainableParameter& parameter : parameters) {
    bytes.push_back(static_cast<int64_t>(parameter.value.nbytes()));
  }
  const std::vector<int> writers = WriterOf(bytes, owner.world_size);
  CheckpointPartData part{.owner = owner, .state = state, .tensors = {}};
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (writers[i] != owner.rank) continue;
    const std::string& name = parameters[i].name;
    const AdamW::State& moments = optimizer.states()[i];
    part.tensors[ValueName(name)] = HostCopy(parameters[i].value);
    part.tensors[FirstMomentName(name)] = HostCopy(moments.first_moment);
    part.tensors[SecondMomentName(name)] = HostCopy(moments.second_moment);
    part.tensors[UpdatesName(name)] = HostCopy(moments.step);
  }
  return part;
}

absl::Status WritePart(const std::string& path, const CheckpointPartData& part) {
  const TrainingState& state = part.state;
  const std::vector<int64_t> numbers = {state.next_step, state.plan_version, state.non_finite,
                                        part.owner.rank, part.owner.world_size};
  const std::vector<double> totals = Numbers(state.totals);
  const std::vector<double> evaluation = {static_cast<double>(state.evaluated_step),
                                          static_cast<double>(state.best.step), state.best.loss};
  std::map<std::string, hf::TensorView> views;
  views[kStateTensor] = ViewOf(hf::TensorType::kI64, numbers);
  views[kTotalsTensor] = ViewOf(hf::TensorType::kF64, totals);
  views[kSensitivitiesTensor] = ViewOf(hf::TensorType::kF64, state.sensitivities);
  views[kEvaluationTensor] = ViewOf(hf::TensorType::kF64, evaluation);
  if (part.owner.rank == 0) {
    views[kLossesTensor] = ViewOf(hf::TensorType::kF64, state.history.losses);
    views[kValidationStepsTensor] = ViewOf(hf::TensorType::kI64, state.history.validation_steps);
    views[kValidationLossesTensor] = ViewOf(hf::TensorType::kF64, state.history.validation_losses);
  }
  for (const auto& [name, tensor] : state.best_values)
    views[BestValueName(name)] = BorrowView(tensor);
  for (const auto& [name, tensor] : part.tensors) views[name] = BorrowView(tensor);
  return hf::WriteSafetensors(path, views,
                              {{"format", "dropbp-checkpoint"},
                               {"version", absl::StrCat(kPartVersion)},
                               {"identity", part.owner.identity}});
}

}  // namespace dropbp::trainer
