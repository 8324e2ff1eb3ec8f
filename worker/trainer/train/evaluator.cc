#include "worker/trainer/train/evaluator.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "worker/trainer/generate/greedy.h"
#include "worker/trainer/train/batch.h"
#include "worker/trainer/train/failure.h"
#include "worker/trainer/train/probe_parts.h"

namespace dropbp::trainer {
namespace {

// Answers go with every description of the job.
constexpr size_t kMostAnswerBytes = 8192;

std::vector<int64_t> ByLength(const std::vector<data::Sample>& samples) {
  std::vector<int64_t> order(samples.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return samples[static_cast<size_t>(a)].ids.size() < samples[static_cast<size_t>(b)].ids.size();
  });
  return order;
}

}  // namespace

Evaluator::Evaluator(EvaluationSet set, const JobSpec& spec, int rank, c10::Device device,
                     Decoder* model, ProcessGroup* group, const CoordinatorLink* link)
    : set_(std::move(set)),
      spec_(spec.evaluation),
      batch_(static_cast<size_t>(spec.training.micro_batch_size)),
      rank_(rank),
      device_(device),
      model_(model),
      group_(group),
      link_(link),
      order_(ByLength(set_.samples)) {
  for (const data::Sample& sample : set_.samples) supervised_tokens_ += sample.SupervisedTokens();
}

absl::StatusOr<EvaluationOutcome> Evaluator::Evaluate(int64_t step) {
  const auto begin = std::chrono::steady_clock::now();
  EvaluationOutcome outcome;
  outcome.report.step = step;
  outcome.report.supervised_tokens = supervised_tokens_;
  RETURN_IF_ERROR(RunTorch(
      absl::StrCat("rank ", rank_, ", evaluation after ", step, " steps"),
      [&] { return EvaluateOrThrow(outcome); },
      "Make training.micro_batch_size, dataset.max_length or evaluation.max_new_tokens smaller."));
  outcome.report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return outcome;
}

absl::Status Evaluator::EvaluateOrThrow(EvaluationOutcome& outcome) const {
  const at::NoGradGuard no_grad;
  const DropoutPause no_dropout(*model_);
  if (!set_.samples.empty()) {
    ASSIGN_OR_RETURN(const at::Tensor sum, OwnLossSum(outcome.stop));
    if (outcome.stop != StopRequest::kNone) return absl::OkStatus();
    ASSIGN_OR_RETURN(outcome.report.loss, MeanLoss(sum));
  }
  if (spec_.prompts.empty()) return absl::OkStatus();
  outcome.report.answers = Answers();
  ASSIGN_OR_RETURN(outcome.stop, ShareStop());
  return absl::OkStatus();
}

absl::StatusOr<StopRequest> Evaluator::ShareStop() const {
  const int64_t mine[] = {static_cast<int64_t>(link_->stop_request())};
  int64_t strongest = mine[0];
  if (group_ != nullptr) {
    ASSIGN_OR_RETURN(const auto all, group_->AllGather(absl::MakeConstSpan(mine)));
    for (const std::vector<int64_t>& theirs : all) strongest = std::max(strongest, theirs[0]);
  }
  return static_cast<StopRequest>(strongest);
}

absl::StatusOr<at::Tensor> Evaluator::OwnLossSum(StopRequest& stop) const {
  const size_t ranks = group_ == nullptr ? 1 : static_cast<size_t>(group_->world_size());
  at::Tensor sum = at::zeros({}, at::TensorOptions(device_).dtype(at::kDouble));
  for (size_t round = 0; round < order_.size(); round += ranks * batch_) {
    ASSIGN_OR_RETURN(stop, ShareStop());
    if (stop != StopRequest::kNone) return sum;
    // The last round may have nothing for this rank.
    const size_t begin = round + static_cast<size_t>(rank_) * batch_;
    if (begin >= order_.size()) break;
    const auto indices = absl::MakeConstSpan(order_).subspan(begin, batch_);
    const MicroBatch micro = MakeMicroBatch(set_.samples, indices, device_);
    sum += model_->LossSum(model_->Forward(micro.ids, {}), micro.targets);
  }
  return sum;
}

absl::StatusOr<double> Evaluator::MeanLoss(const at::Tensor& own_sum) const {
  const double mine[] = {own_sum.item<double>()};
  std::vector<std::vector<double>> all = {{mine[0]}};
  if (group_ != nullptr) {
    ASSIGN_OR_RETURN(all, group_->AllGather(absl::MakeConstSpan(mine)));
  }
  double sum = 0;
  for (const std::vector<double>& theirs : all) sum += theirs[0];
  return sum / static_cast<double>(supervised_tokens_);
}

std::vector<EvaluationReport::Answer> Evaluator::Answers() const {
  std::vector<EvaluationReport::Answer> answers;
  for (size_t begin = 0; begin < set_.prompts.size(); begin += batch_) {
    const size_t end = std::min(begin + batch_, set_.prompts.size());
    const std::vector<std::vector<data::TokenId>> prompts(
        set_.prompts.begin() + static_cast<ptrdiff_t>(begin),
        set_.prompts.begin() + static_cast<ptrdiff_t>(end));
    const auto stopped = [this] { return link_->stop_request() != StopRequest::kNone; };
    for (const auto& ids : GenerateGreedily(*model_, prompts, spec_.max_new_tokens, stopped)) {
      answers.push_back({.prompt = spec_.prompts[answers.size()],
                         .text = Shortened(set_.tokenizer->Decode(ids, /*skip_special=*/true),
                                           kMostAnswerBytes)});
    }
  }
  return answers;
}

}  // namespace dropbp::trainer
