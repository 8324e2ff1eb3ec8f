// Which gradients travel together, and which travel at all.
//
// Note [Order of collectives]
// Ranks meet only if they make the same collectives in the same order. So the bucket layout is a
// function of the model, the live set of a step is a function of the mask plan (the union over all
// rows of the step, hence over all ranks), and live buckets go in one fixed order: that in which a
// backward pass finishes them, the last unit first. Nothing depends on timing, nor on whether this
// rank itself ran a live unit's backward: if it did not, it sends zeros.
#pragma once

#include <cstdint>
#include <vector>

#include "core/plan/mask_plan.h"
#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

inline constexpr int64_t kDefaultBucketBytes = int64_t{64} << 20;

// Gradients reduced as one tensor. All belong to one unit, so that a dropped unit sends nothing.
struct Bucket {
  int unit = -1;                   // -1: never dropped
  std::vector<size_t> parameters;  // indices into the model's trainable parameters
  int64_t elements = 0;

  int64_t bytes() const { return elements * static_cast<int64_t>(sizeof(float)); }
};

// Buckets in the order in which backward finishes them: parameters from last to first, a new bucket
// wherever the unit changes or a bucket would grow beyond `bucket_bytes`. A parameter larger than
// that gets a bucket of its own.
std::vector<Bucket> MakeBuckets(const std::vector<TrainableParameter>& parameters,
                                int64_t bucket_bytes = kDefaultBucketBytes);

// The units that at least one row keeps.
std::vector<bool> LiveUnits(const std::vector<MaskRow>& rows);

// Whether a unit's gradients exist in a step; unit -1 is always live.
bool IsLive(const std::vector<bool>& live_units, int unit);

// Bytes handed to all-reduce for this live set: the formula that the counter of the reducer must
// equal.
int64_t LiveBytes(const std::vector<Bucket>& buckets, const std::vector<bool>& live_units);

// The same with nothing dropped.
int64_t DenseBytes(const std::vector<Bucket>& buckets);

}  // namespace dropbp::trainer
