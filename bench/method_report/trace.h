// What a probe leaves changed in the training state that it finds.
#pragma once

#include "bench/method_report/report.h"
#include "bench/method_report/sensitivity.h"
#include "core/base/status.h"
#include "worker/trainer/train/probe.h"

namespace dropbp::bench {

// Tensors whose bits a probe changed, of so many.
struct Changed {
  int64_t tensors = 0;
  int64_t of = 0;
};

struct Trace {
  Changed parameters;
  Changed gradients;
  Changed optimizer;  // two moments and a step count a parameter
  Changed generator;  // torch's, of the CPU
};

// Makes one optimizer step and the backward pass of a second, as in the middle of accumulation,
// then measures `units` and compares all state with what it was before. Throws what torch throws.
Trace TraceOf(trainer::Decoder& model, const trainer::StepBatch& batch,
              trainer::ProbeMeasure measure, absl::Span<const int> units);

// The authors' probe by our reading, as far as it shows in a trace: it seeds the generator anew,
// sets accumulated gradients to zero and leaves its last pass's in their place. No norms.
trainer::ProbeNorms MeasureAsTheAuthors(trainer::Decoder& model, const trainer::StepBatch& batch,
                                        absl::Span<const int> units);

// Ours, of all units, and the authors', of two, on the model and batch of `options`.
absl::StatusOr<Section> TraceSection(const ProbeOptions& options);

}  // namespace dropbp::bench
