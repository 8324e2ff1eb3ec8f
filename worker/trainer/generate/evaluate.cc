#include "worker/trainer/generate/evaluate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/job/job_file.h"
#include "worker/data/dataset.h"
#include "worker/data/prompt.h"
#include "worker/trainer/generate/answer_match.h"
#include "worker/trainer/generate/greedy.h"

namespace dropbp::trainer {
namespace {

constexpr int64_t kIgnored = -100;

int64_t Wanted(int64_t available, int64_t asked) {
  return asked > 0 ? std::min(asked, available) : available;
}

DatasetSpec LastAnswers(const EvaluateOptions& options) {
  DatasetSpec spec;
  spec.fields = options.fields;
  spec.loss_on = "last_turn";
  spec.max_length = 8192;
  return spec;
}

absl::Status AnswerBatch(const LoadedModel& loaded,
                         const std::vector<data::PromptAndAnswer>& prompts, int64_t begin,
                         int64_t end, int64_t max_tokens, Evaluation& evaluation) {
  std::vector<std::vector<data::TokenId>> ids;
  for (int64_t i = begin; i < end; ++i) {
    ASSIGN_OR_RETURN(std::vector<data::TokenId> prompt,
                     data::EncodePrompt(*loaded.tokenizer, prompts[i].prompt));
    ids.push_back(std::move(prompt));
  }
  const auto answers = GenerateGreedily(*loaded.decoder, ids, max_tokens);
  for (int64_t i = begin; i < end; ++i) {
    EvaluatedRecord record{prompts[i].prompt, prompts[i].answer,
                           loaded.tokenizer->Decode(answers[i - begin], /*skip_special=*/true),
                           false};
    record.match = AnswersMatch(record.expected, record.answer);
    evaluation.matches += record.match;
    evaluation.records.push_back(std::move(record));
  }
  return absl::OkStatus();
}

// Sum of the losses of one sample's supervised tokens.
double SampleLoss(Decoder& decoder, const data::Sample& sample) {
  const int64_t length = static_cast<int64_t>(sample.ids.size());
  at::Tensor ids = at::empty({1, length}, at::kLong);
  at::Tensor targets = at::full({1, length}, kIgnored, at::kLong);
  for (int64_t i = 0; i < length; ++i) {
    ids.mutable_data_ptr<int64_t>()[i] = sample.ids[i];
    if (i > 0 && sample.supervised[i]) targets.mutable_data_ptr<int64_t>()[i - 1] = sample.ids[i];
  }
  return decoder.LossSum(decoder.Forward(ids, {}), targets).item<double>();
}

absl::Status MeasureLoss(const LoadedModel& loaded, const EvaluateOptions& options,
                         Evaluation& evaluation) {
  at::NoGradGuard no_grad;
  ASSIGN_OR_RETURN(const data::TokenizedDataset dataset,
                   data::LoadDataset(options.data_path, LastAnswers(options), options.model_dir));
  const int64_t count = Wanted(static_cast<int64_t>(dataset.samples.size()), options.samples);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    sum += SampleLoss(*loaded.decoder, dataset.samples[i]);
    evaluation.supervised_tokens += dataset.samples[i].SupervisedTokens();
  }
  evaluation.mean_loss =
      sum / static_cast<double>(std::max<int64_t>(evaluation.supervised_tokens, 1));
  return absl::OkStatus();
}

}  // namespace

double Evaluation::ExactMatch() const {
  return records.empty() ? 0 : static_cast<double>(matches) / static_cast<double>(records.size());
}

absl::StatusOr<std::map<std::string, std::string>> FieldNames(
    const std::vector<std::string>& pairs) {
  JobFile job;
  for (const std::string& pair : pairs)
    RETURN_IF_ERROR(SetJobField(absl::StrCat("dataset.fields.", pair), job));
  for (const FieldViolation& one : ValidateJobSpec(job.spec)) {
    if (absl::StartsWith(one.field, "dataset.fields"))
      return absl::InvalidArgumentError(absl::StrCat(one.field, ": ", one.description));
  }
  return job.spec.dataset.fields;
}

absl::StatusOr<Evaluation> Evaluate(const LoadedModel& loaded, const EvaluateOptions& options,
                                    const std::function<void(int64_t, int64_t)>& progress) {
  ASSIGN_OR_RETURN(const std::vector<data::PromptAndAnswer> prompts,
                   data::LoadPrompts(options.data_path, LastAnswers(options), options.model_dir));
  Evaluation evaluation;
  const int64_t count = Wanted(static_cast<int64_t>(prompts.size()), options.samples);
  for (int64_t begin = 0; begin < count; begin += options.batch) {
    const int64_t end = std::min(begin + options.batch, count);
    RETURN_IF_ERROR(AnswerBatch(loaded, prompts, begin, end, options.max_tokens, evaluation));
    progress(end, count);
  }
  RETURN_IF_ERROR(MeasureLoss(loaded, options, evaluation));
  return evaluation;
}

}  // namespace dropbp::trainer
