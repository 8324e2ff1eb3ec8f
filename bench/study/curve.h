// One training run of a study: a job, trained in this process, with its validation loss on the way.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "worker/data/dataset.h"
#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/train/trainer.h"

namespace dropbp::bench {

struct CurveOptions {
  JobSpec spec;  // of one rank
  std::string model_dir;
  std::string train_file;
  std::string eval_file;
  int64_t eval_every = 10;   // steps
  int64_t eval_samples = 0;  // the first so many of the file; 0: all
  std::string device = "cpu";
  int threads = 1;
};

// Takes one object for each thing that happened.
using CurveSink = std::function<void(const nlohmann::ordered_json& line)>;

// Not thread-safe. Objects, in order:
// {"event": "start", ...}: model, samples, total steps and the job's fields;
// {"event": "eval", "step": steps made, "seconds": ..., "loss": ...}: before the first step, after
// every eval_every steps and after the last;
// {"event": "step", "step": steps made, "seconds": ..., ...} for each step;
// {"event": "end", ...} after the last evaluation.
// "seconds" is the time spent in training so far, sensitivity probes included, evaluation and
// loading excluded. The validation loss is the mean over the supervised tokens of the evaluation
// file, adapter dropout off.
class Curve {
 public:
  static absl::StatusOr<std::unique_ptr<Curve>> Make(const CurveOptions& options, CurveSink sink);

  // Trains up to the next evaluation and evaluates.
  absl::Status Advance();
  bool done() const { return trainer_->done(); }

 private:
  Curve(const CurveOptions& options, CurveSink sink);

  absl::Status Load();
  absl::Status Begin();
  absl::Status Step();
  double ValidationLoss();
  void Evaluate();
  void End();

  CurveOptions options_;
  CurveSink sink_;
  data::TokenizedDataset train_;
  data::TokenizedDataset eval_;
  std::unique_ptr<trainer::MemoryLink> link_;
  std::unique_ptr<trainer::Decoder> model_;
  std::unique_ptr<trainer::Trainer> trainer_;
  double seconds_ = 0;
};

}  // namespace dropbp::bench
