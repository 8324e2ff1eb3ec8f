// How much memory a rank will need, from shapes alone.
#pragma once

#include <cstdint>

#include "core/job/job_spec.h"
#include "core/plan/drop_plan.h"
#include "core/plan/layer_table.h"

namespace dropbp {

// Bytes on one rank. A count of the tensors that training keeps, not of what allocator, libraries
// and kernels take besides.
struct MemoryEstimate {
  int64_t weights = 0;    // base weights in the compute dtype, or in 4 bits beside one dense block;
                          // full: the joined compute copies
  int64_t trainable = 0;  // fp32 masters of everything that is trained
  int64_t optimizer = 0;  // AdamW: two fp32 moments
  int64_t gradients = 0;  // fp32, of what is live in an optimizer step, in expectation
  int64_t activations = 0;  // of one micro-batch, kept by forward for backward
  int64_t head = 0;         // logits of one chunk, the head's input, and gradients of both
  int64_t probe = 0;        // what a sensitivity probe keeps; 0 if the job has none
  int64_t evaluation = 0;   // what a batch of an evaluation takes besides the head; 0 without one
  int64_t best = 0;  // values of the best evaluation, where they are the job's result: rank 0
                     // keeps them in host memory
  int64_t peak = 0;
};

// What the bytes depend on besides the job.
struct ComputeSite {
  int64_t dtype_bytes = 4;  // of an element in the compute dtype: 4 (fp32) or 2 (bf16)
  bool cuda = false;
};

// Formula, for a micro-batch of N = micro_batch_size * max_length tokens (virtual ones on top), B
// bytes an element of the compute dtype, h hidden, i intermediate, q and k the widths of queries
// and keys, a heads, r the LoRA rank times the number of adapted modules of the unit:
// - a kept attention unit keeps, by token: x (h B), inverse rms (4), queries, keys and values
//   ((q + 2k) B), attention output (q B), logsumexp (4 a), LoRA down products (r B);
// - a kept MLP unit: x (h B), inverse rms (4), gate and up (2 i B), LoRA down products (r B);
// - where branches end with a norm, what enters it (h B) and its inverse rms (4); where queries and
//   keys are normed, an inverse rms of each of their heads (4);
// - a module with a factor on its output (DoRA, (IA)^3), that output before it (B each);
// - with LoRA dropout, a mask as large as the input of each adapted group of modules (B);
// - a dropped unit: nothing. Every row keeps the same number of units of a stratum, so the sum is
//   the same in every step: N times the sum over units of (1 - p_u) times the unit's bytes.
// With activation checkpointing a unit that some group of the micro-batch keeps holds x alone, of
// all sequences. What else stands above exists of one unit at a time, the largest counts: of all
// sequences, and where several groups drop, once more of those that keep the unit (at most all but
// one group), x included.
// A trained head has its fp32 gradient twice while the backward pass begins.
// A probe keeps, of probe_samples sequences at drop rate 0, what a step keeps of its micro-batch;
// the cotangents of this rank's units; and two sets of fp32 gradients.
// An evaluation records nothing: of a micro-batch it takes what one unit computes (the residual
// stream three times, queries, keys, values and attention output, or gate, up and their product),
// or keys and values of micro_batch_size answers of max_new_tokens in all layers, if that is more.
// Gradients of one micro-step grow while its activations go, so peak = weights + trainable +
// optimizer + head + max(activations, gradients); with several micro-steps the gradients of earlier
// ones are there as well: activations + gradients. Where a probe or an evaluation takes more than
// that, it counts. On CPU the best values are there as well. `table` and `plan` are the job's.
MemoryEstimate EstimateMemory(const ModelShape& shape, const JobSpec& spec, const LayerTable& table,
                              const DropPlan& plan, const ComputeSite& site);

// Parameters of a decoder.
int64_t ParameterCount(const ModelShape& shape);

}  // namespace dropbp
