#include "worker/trainer/collective/gradient_reducer.h"

#include <ATen/ATen.h>

namespace dropbp::trainer {

void GradientReducer::Begin(std::vector<bool> live_units) {
  live_units_ = std::move(live_units);
  bytes_sent_ = 0;
}

absl::Status GradientReducer::StartBucket(size_t index) {
  const Bucket& bucket = buckets_[index];
  if (!IsLive(live_units_, bucket.unit)) return absl::OkStatus();
  FillWithZeros(bucket);
  if (group_ == nullptr) return absl::OkStatus();
  if (in_flight_.size() == kInFlight) RETURN_IF_ERROR(FinishOldest());
  at::Tensor flat = Pack(bucket);
  bytes_sent_ += static_cast<int64_t>(flat.nbytes());
  ASSIGN_OR_RETURN(auto pending, group_->StartAllReduceSum(flat));
  in_flight_.push_back({&bucket, std::move(flat), std::move(pending)});
  return absl::OkStatus();
}

absl::Status GradientReducer::Finish() {
  while (!in_flight_.empty()) RETURN_IF_ERROR(FinishOldest());
  return absl::OkStatus();
}

absl::Status GradientReducer::Reduce(std::vector<bool> live_units) {
  Begin(std::move(live_units));
  for (size_t i = 0; i < buckets_.size(); ++i) RETURN_IF_ERROR(StartBucket(i));
  return Finish();
}

absl::Status GradientReducer::FinishOldest() {
  InFlight oldest = std::move(in_flight_.front());
  in_flight_.pop_front();
  RETURN_IF_ERROR(oldest.pending->Wait());
  Unpack(*oldest.bucket, oldest.flat);
  return absl::OkStatus();
}

void GradientReducer::FillWithZeros(const Bucket& bucket) const {
  for (size_t i : bucket.parameters) {
    at::Tensor value = parameters_[i].value;
    if (!value.grad().defined()) value.mutable_grad() = at::zeros(value.sizes(), value.options());
  }
}

at::Tensor GradientReducer::Pack(const Bucket& bucket) const {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> pieces;
  pieces.reserve(bucket.parameters.size());
  for (size_t i : bucket.parameters) pieces.push_back(parameters_[i].value.grad().reshape({-1}));
  return at::cat(pieces);
}

void GradientReducer::Unpack(const Bucket& bucket, const at::Tensor& flat) const {
  at::NoGradGuard no_grad;
  int64_t offset = 0;
  for (size_t i : bucket.parameters) {
    at::Tensor value = parameters_[i].value;
    value.mutable_grad() = flat.narrow(0, offset, value.numel()).view(value.sizes());
    offset += value.numel();
  }
}

}  // namespace dropbp::trainer
