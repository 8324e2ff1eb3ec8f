// Selective all-reduce: sums the gradients of live units over all ranks and sends nothing for
// dropped ones.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "worker/trainer/collective/buckets.h"
#include "worker/trainer/collective/process_group.h"

namespace dropbp::trainer {

// Protocol of one optimizer step, the same on every rank:
// a. Begin(live units);
// b. StartBucket(i) for each live bucket in order, as soon as its gradients are final: packs them
// into one tensor, zeros
//    for what this rank's backward did not reach, and starts its all-reduce;
// c. Finish(): waits, and makes each live parameter's gradient a view into the reduced bucket.
// So after Finish() the parameters with a defined gradient are exactly those of live units, on
// every rank. A single rank (no group) packs and sends nothing; it only gives zeros to live
// parameters that its backward did not reach. At most kInFlight buckets are under way at a time,
// which bounds the second copy of gradients. Not thread-safe.
class GradientReducer {
 public:
  static constexpr size_t kInFlight = 4;

  // `parameters` and `group` must outlive the reducer; `group` is null for a single rank.
  GradientReducer(const std::vector<TrainableParameter>& parameters, ProcessGroup* group,
                  int64_t bucket_bytes = kDefaultBucketBytes)
      : parameters_(parameters), group_(group), buckets_(MakeBuckets(parameters, bucket_bytes)) {}

  void Begin(std::vector<bool> live_units);
  absl::Status StartBucket(size_t index);
  absl::Status Finish();

  // All of it at once, after the last backward.
  absl::Status Reduce(std::vector<bool> live_units);

  // Bytes handed to all-reduce since Begin, counted where they are handed over.
  int64_t bytes_sent() const { return bytes_sent_; }
  // What it would be with nothing dropped.
  int64_t bytes_dense() const { return group_ == nullptr ? 0 : DenseBytes(buckets_); }
  const std::vector<Bucket>& buckets() const { return buckets_; }

 private:
  struct InFlight {
    const Bucket* bucket;
    at::Tensor flat;
    std::unique_ptr<PendingCollective> pending;
  };

  void FillWithZeros(const Bucket& bucket) const;
  at::Tensor Pack(const Bucket& bucket) const;
  void Unpack(const Bucket& bucket, const at::Tensor& flat) const;
  absl::Status FinishOldest();

  const std::vector<TrainableParameter>& parameters_;
  ProcessGroup* group_;
  std::vector<Bucket> buckets_;
  std::vector<bool> live_units_;
  std::deque<InFlight> in_flight_;
  int64_t bytes_sent_ = 0;
};

}  // namespace dropbp::trainer
