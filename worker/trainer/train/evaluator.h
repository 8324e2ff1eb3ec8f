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

// What the ranks agree on at the end of an evaluation.
struct EvaluationOutcome {
  EvaluationReport report;
  // The strongest that some rank was asked for: then the evaluation was broken off, on all ranks
  // between the same two batches, and the report says nothing.
  StopRequest stop = StopRequest::kNone;
};

// It leaves no trace in training: nothing is recorded, adapter dropout is off and no generator is
// read. Not thread-safe; what is pointed to outlives it.
class Evaluator {
 public:
  // `group` is null for a single rank; `link` tells of requests to stop.
  Evaluator(EvaluationSet set, const JobSpec& spec, int rank, c10::Device device, Decoder* model,
            ProcessGroup* group, const CoordinatorLink* link);

  // A collective. Each rank runs its share of the samples, in batches of micro_batch_size; the loss
  // is the mean over their supervised tokens, the same bits on every rank. Rank 0 answers the
  // prompts. Before each batch, and after the answers, the ranks share whether any was asked to
  // stop; rank 0 looks before each token of an answer too. Errors name the step.
  absl::StatusOr<EvaluationOutcome> Evaluate(int64_t step);

  int64_t held_out() const { return static_cast<int64_t>(set_.samples.size()); }

 private:
  absl::Status EvaluateOrThrow(EvaluationOutcome& outcome) const;
  // The strongest request to stop of any rank. A collective.
  absl::StatusOr<StopRequest> ShareStop() const;
  // Sum of the losses of this rank's share; nothing if the ranks stop, as `stop` then says.
  absl::StatusOr<at::Tensor> OwnLossSum(StopRequest& stop) const;
  absl::StatusOr<double> MeanLoss(const at::Tensor& own_sum) const;
  std::vector<EvaluationReport::Answer> Answers() const;

  const EvaluationSet set_;
  const EvaluationSpec spec_;
  const size_t batch_;
  const int rank_;
  const c10::Device device_;
  Decoder* const model_;
  ProcessGroup* const group_;
  const CoordinatorLink* const link_;
  std::vector<int64_t> order_;  // of the samples, by length: little padding
  int64_t supervised_tokens_ = 0;
};

}  // namespace dropbp::trainer
