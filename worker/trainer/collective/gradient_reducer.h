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
//   a. every micro-step but the last: backward passes add to gradients;
//   b. Begin(live units of the step, units that this rank's last backward pass will still reach),
//      then that backward pass. Meanwhile live buckets start in order, each as soon
//      as its gradients and those of all buckets before it are final: packed into one tensor, zeros
//      for what this rank's backward did not reach, and handed to all-reduce;
//   c. Finish(): starts what has not started (a rank whose backward pass reached nothing starts all
//      of it here), waits, and makes each live parameter's gradient a view into the reduced bucket.
//
// So after Finish() the parameters with a defined gradient are exactly those of live units, on
// every rank. A single rank (no group) packs and sends nothing; it only gives zeros to live
// parameters that its backward did not reach. At most kInFlight buckets are under way at a time,
// which bounds the second copy of gradients. Not thread-safe, but backward may run on another
// thread while the caller waits for it, as autograd does for CUDA.
class GradientReducer {
 public:
  static constexpr size_t kInFlight = 4;

  // `parameters` and `group` must outlive the reducer; `group` is null for a single rank.
  GradientReducer(const std::vector<TrainableParameter>& parameters, ProcessGroup* group,
                  int64_t bucket_bytes = kDefaultBucketBytes);
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  void Begin(std::vector<bool> live_units, std::vector<bool> units_to_come);
  absl::Status Finish();

  // All of it at once, after the last backward.
  absl::Status Reduce(std::vector<bool> live_units);

  // Bytes handed to all-reduce since Begin, counted where they are handed over.
  int64_t bytes_sent() const { return bytes_sent_; }
  // What it would be with nothing dropped.
  int64_t bytes_dense() const { return group_ == nullptr ? 0 : DenseBytes(buckets_); }
  // Of the live buckets, how many had started before Finish was called: what was overlapped.
  size_t started_early() const { return started_early_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }

 private:
  struct InFlight {
    const Bucket* bucket;
    at::Tensor flat;
    std::unique_ptr<PendingCollective> pending;
  };

  void OnGradientFinal(size_t parameter);
  absl::Status StartReady();
  absl::Status StartBucket(const Bucket& bucket);
  void FillWithZeros(const Bucket& bucket) const;
  at::Tensor Pack(const Bucket& bucket) const;
  void Unpack(const Bucket& bucket, const at::Tensor& flat) const;
  absl::Status FinishOldest();

  const std::vector<TrainableParameter>& parameters_;
  ProcessGroup* group_;
  std::vector<Bucket> buckets_;
  std::vector<size_t> bucket_of_;  // by parameter
  std::vector<bool> live_units_;
  std::vector<size_t> awaited_;  // by bucket: gradients that backward has yet to make final
  size_t next_bucket_ = 0;
  size_t started_early_ = 0;
  bool armed_ = false;   // between Begin and Finish
  absl::Status status_;  // of the buckets started during backward
  std::deque<InFlight> in_flight_;
  int64_t bytes_sent_ = 0;
};

}  // namespace dropbp::trainer
