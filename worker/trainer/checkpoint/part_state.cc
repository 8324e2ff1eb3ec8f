#include "worker/trainer/checkpoint/part_state.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>

#include "absl/strings/str_cat.h"

namespace dropbp::trainer {
namespace {

constexpr size_t kStateNumbers = 5;
constexpr size_t kTotalsNumbers = 8;
constexpr size_t kEvaluationNumbers = 3;
constexpr size_t kMaxUnits = 1 << 20;

using Tensors = std::map<std::string, hf::TensorView>;

// The numbers of a vector in a file; files need not be aligned.
template <typename Number>
absl::StatusOr<std::vector<Number>> ReadNumbers(const Tensors& tensors, const std::string& name,
                                                hf::TensorType type, size_t least, size_t most) {
  const auto found = tensors.find(name);
  if (found == tensors.end() || found->second.type != type || found->second.shape.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("no legal vector ", name));
  }
  const size_t count = found->second.data.size() / sizeof(Number);
  if (count < least || count > most) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": found ", count, " numbers"));
  }
  std::vector<Number> numbers(count);
  if (count > 0) std::memcpy(numbers.data(), found->second.data.data(), count * sizeof(Number));
  return numbers;
}

absl::StatusOr<TrainingTotals> ReadTotals(const Tensors& tensors) {
  ASSIGN_OR_RETURN(const std::vector<double> numbers,
                   ReadNumbers<double>(tensors, kTotalsTensor, hf::TensorType::kF64, kTotalsNumbers,
                                       kTotalsNumbers));
  for (const size_t whole : {2, 3, 4}) {
    // Also keeps what is no number from becoming one.
    if (!(numbers[whole] >= 0 && numbers[whole] <= 0x1p62)) {
      return absl::InvalidArgumentError("totals: a count out of range");
    }
  }
  return TrainingTotals{.backward_flops_done = numbers[0],
                        .backward_flops_saved = numbers[1],
                        .gradient_bytes_sent = static_cast<int64_t>(numbers[2]),
                        .gradient_bytes_dense = static_cast<int64_t>(numbers[3]),
                        .tokens = static_cast<int64_t>(numbers[4]),
                        .loss = numbers[5],
                        .learning_rate = numbers[6],
                        .grad_norm = numbers[7]};
}

// What is known of evaluations; a part of version 1 knows of none.
absl::Status ReadEvaluation(const Tensors& tensors, PartState& state) {
  if (!tensors.contains(kEvaluationTensor)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<double> numbers,
                   ReadNumbers<double>(tensors, kEvaluationTensor, hf::TensorType::kF64,
                                       kEvaluationNumbers, kEvaluationNumbers));
  for (const size_t step : {0, 1}) {
    if (!(numbers[step] >= 0 && numbers[step] <= static_cast<double>(state.next_step)))
      return absl::InvalidArgumentError("evaluation: a step out of range");
  }
  state.evaluated_step = static_cast<int64_t>(numbers[0]);
  state.best = {.step = static_cast<int64_t>(numbers[1]), .loss = numbers[2]};
  return absl::OkStatus();
}

// A part of an older version knows of no loss.
absl::Status ReadHistory(const Tensors& tensors, int rank, PartState& state) {
  LossHistory& history = state.history;
  const size_t steps = static_cast<size_t>(state.next_step);
  if (rank != 0) return absl::OkStatus();
  if (!tensors.contains(kLossesTensor)) {
    history.losses.assign(steps, std::numeric_limits<double>::quiet_NaN());
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(history.losses,
                   ReadNumbers<double>(tensors, kLossesTensor, hf::TensorType::kF64, steps, steps));
  ASSIGN_OR_RETURN(history.validation_steps, ReadNumbers<int64_t>(tensors, kValidationStepsTensor,
                                                                  hf::TensorType::kI64, 0, steps));
  const size_t evaluations = history.validation_steps.size();
  ASSIGN_OR_RETURN(history.validation_losses,
                   ReadNumbers<double>(tensors, kValidationLossesTensor, hf::TensorType::kF64,
                                       evaluations, evaluations));
  return absl::OkStatus();
}

}  // namespace

bool IsOfPartState(std::string_view name) {
  constexpr std::string_view kNames[] = {
      kStateTensor,  kTotalsTensor,          kSensitivitiesTensor,   kEvaluationTensor,
      kLossesTensor, kValidationStepsTensor, kValidationLossesTensor};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

absl::Status CheckPartVersion(const hf::SafetensorsFile& file) {
  const auto version = file.metadata().find("version");
  const std::string found = version == file.metadata().end() ? "none" : version->second;
  for (int known = 1; known <= kPartVersion; ++known) {
    if (found == absl::StrCat(known)) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("found format version ", found, ", this program reads 1 to ", kPartVersion));
}

absl::StatusOr<PartState> ReadPartState(const Tensors& tensors, const CheckpointManifest& manifest,
                                        int rank) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> numbers,
                   ReadNumbers<int64_t>(tensors, kStateTensor, hf::TensorType::kI64, kStateNumbers,
                                        kStateNumbers));
  if (numbers[0] != manifest.step || numbers[3] != rank || numbers[4] != manifest.world_size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("found step ", numbers[0], " of rank ", numbers[3], " of ", numbers[4],
                     ", the manifest names step ", manifest.step, " of rank ", rank, " of ",
                     manifest.world_size()));
  }
  const auto fits = [](int64_t n) { return n >= 0 && n <= std::numeric_limits<int32_t>::max(); };
  if (!fits(numbers[1]) || !fits(numbers[2])) {
    return absl::InvalidArgumentError("state: a number out of range");
  }
  PartState state{.next_step = numbers[0],
                  .plan_version = static_cast<int32_t>(numbers[1]),
                  .non_finite = static_cast<int>(numbers[2])};
  ASSIGN_OR_RETURN(state.sensitivities, ReadNumbers<double>(tensors, kSensitivitiesTensor,
                                                            hf::TensorType::kF64, 0, kMaxUnits));
  ASSIGN_OR_RETURN(state.totals, ReadTotals(tensors));
  RETURN_IF_ERROR(ReadEvaluation(tensors, state));
  RETURN_IF_ERROR(ReadHistory(tensors, rank, state));
  return state;
}

}  // namespace dropbp::trainer
