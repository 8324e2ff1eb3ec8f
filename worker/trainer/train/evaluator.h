// Evaluation while training: the loss on held-out samples, and answers to fixed prompts.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "worker/data/dataset.h"
#include "worker/data/tokenizer.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

// What a job is evaluated on.
struct EvaluationSet {
  std::vector<data::Sample> samples;  // held out; the same on every rank
  // Of evaluation.prompts, in their order; on rank 0 only, as the tokenizer that decodes answers.
  std::vector<std::vector<data::TokenId>> prompts;
  std::shared_ptr<const data::Tokenizer> tokenizer;
};

// It leaves no trace in training: nothing is recorded, adapter dropout is off and no generator is
// read. Not thread-safe; what is pointed to outlives it.
class Evaluator {
 public:
  // `group` is null for a single rank.
  Evaluator(EvaluationSet set, const JobSpec& spec, int rank, c10::Device device, Decoder* model,
            ProcessGroup* group);

  // A collective. Each rank runs its share of the samples, in batches of micro_batch_size; the loss
  // is the mean over their supervised tokens, the same bits on every rank. Rank 0 answers the
  // prompts. Errors name the step.
  absl::StatusOr<EvaluationReport> Evaluate(int64_t step);

  int64_t held_out() const { return static_cast<int64_t>(set_.samples.size()); }

 private:
  absl::StatusOr<double> Loss() const;
  // Sum of the losses of this rank's share.
  double OwnLossSum() const;
  std::vector<EvaluationReport::Answer> Answers() const;

  const EvaluationSet set_;
  const EvaluationSpec spec_;
  const size_t batch_;
  const int rank_;
  const c10::Device device_;
  Decoder* const model_;
  ProcessGroup* const group_;
  std::vector<int64_t> order_;  // of the samples, by length: little padding
  int64_t supervised_tokens_ = 0;
};

}  // namespace dropbp::trainer
