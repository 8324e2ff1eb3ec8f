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
                     Decoder* model, ProcessGroup* group)
    : set_(std::move(set)),
      spec_(spec.evaluation),
      batch_(static_cast<size_t>(spec.training.micro_batch_size)),
      rank_(rank),
      device_(device),
      model_(model),
      group_(group),
      order_(ByLength(set_.samples)) {
  for (const data::Sample& sample : set_.samples) supervised_tokens_ += sample.SupervisedTokens();
}

absl::StatusOr<EvaluationReport> Evaluator::Evaluate(int64_t step) {
  const auto begin = std::chrono::steady_clock::now();
  EvaluationReport report{.step = step, .supervised_tokens = supervised_tokens_};
  RETURN_IF_ERROR(RunTorch(
      absl::StrCat("rank ", rank_, ", evaluation after ", step, " steps"),
      [&]() -> absl::Status {
        const at::NoGradGuard no_grad;
        const DropoutPause no_dropout(*model_);
        ASSIGN_OR_RETURN(report.loss, Loss());
        report.answers = Answers();
        return absl::OkStatus();
      },
      "Make training.micro_batch_size, dataset.max_length or evaluation.max_new_tokens smaller."));
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

absl::StatusOr<double> Evaluator::Loss() const {
  if (set_.samples.empty()) return 0.0;
  const double mine[] = {OwnLossSum()};
  std::vector<std::vector<double>> all = {{mine[0]}};
  if (group_ != nullptr) {
    ASSIGN_OR_RETURN(all, group_->AllGather(absl::MakeConstSpan(mine)));
  }
  double sum = 0;
  for (const std::vector<double>& theirs : all) sum += theirs[0];
  return sum / static_cast<double>(supervised_tokens_);
}

double Evaluator::OwnLossSum() const {
  const size_t ranks = group_ == nullptr ? 1 : static_cast<size_t>(group_->world_size());
  at::Tensor sum = at::zeros({}, at::TensorOptions(device_).dtype(at::kDouble));
  for (size_t begin = static_cast<size_t>(rank_) * batch_; begin < order_.size();
       begin += ranks * batch_) {
    const auto indices = absl::MakeConstSpan(order_).subspan(begin, batch_);
    const MicroBatch micro = MakeMicroBatch(set_.samples, indices, device_);
    sum += model_->LossSum(model_->Forward(micro.ids, {}), micro.targets);
  }
  return sum.item<double>();
}

std::vector<EvaluationReport::Answer> Evaluator::Answers() const {
  std::vector<EvaluationReport::Answer> answers;
  for (size_t begin = 0; begin < set_.prompts.size(); begin += batch_) {
    const size_t end = std::min(begin + batch_, set_.prompts.size());
    const std::vector<std::vector<data::TokenId>> prompts(
        set_.prompts.begin() + static_cast<ptrdiff_t>(begin),
        set_.prompts.begin() + static_cast<ptrdiff_t>(end));
    for (const auto& ids : GenerateGreedily(*model_, prompts, spec_.max_new_tokens)) {
      answers.push_back({.prompt = spec_.prompts[answers.size()],
                         .text = Shortened(set_.tokenizer->Decode(ids, /*skip_special=*/true),
                                           kMostAnswerBytes)});
    }
  }
  return answers;
}

}  // namespace dropbp::trainer
