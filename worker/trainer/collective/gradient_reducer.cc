#include "worker/trainer/collective/gradient_reducer.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace dropbp::trainer {
namespace {

// Called by autograd once a backward pass has added all it has to add to a leaf's gradient.
class FinalGradientHook : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit FinalGradientHook(std::function<void()> call) : call_(std::move(call)) {}
  void operator()(const torch::autograd::Variable&) override { call_(); }

 private:
  std::function<void()> call_;
};

}  // namespace

GradientReducer::GradientReducer(const std::vector<TrainableParameter>& parameters,
                                 ProcessGroup* group, int64_t bucket_bytes)
    : parameters_(parameters),
      group_(group),
      buckets_(MakeBuckets(parameters, bucket_bytes)),
      bucket_of_(parameters.size()),
      awaited_(buckets_.size()) {
  for (size_t b = 0; b < buckets_.size(); ++b) {
    for (size_t i : buckets_[b].parameters) bucket_of_[i] = b;
  }
  if (group_ == nullptr) return;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    torch::autograd::impl::set_post_acc_grad_hooks(
        parameters_[i].value,
        std::make_unique<FinalGradientHook>([this, i] { OnGradientFinal(i); }));
  }
}

GradientReducer::~GradientReducer() {
  if (group_ == nullptr) return;
  for (const TrainableParameter& parameter : parameters_) {
    torch::autograd::impl::set_post_acc_grad_hooks(parameter.value, nullptr);
  }
}

void GradientReducer::Begin(std::vector<bool> live_units, std::vector<bool> units_to_come) {
  live_units_ = std::move(live_units);
  for (size_t b = 0; b < buckets_.size(); ++b) {
    awaited_[b] = IsLive(units_to_come, buckets_[b].unit) ? buckets_[b].parameters.size() : 0;
  }
  bytes_sent_ = 0;
  next_bucket_ = 0;
  started_early_ = 0;
  status_ = absl::OkStatus();
  armed_ = true;
}

void GradientReducer::OnGradientFinal(size_t parameter) {
  if (!armed_ || !status_.ok()) return;
  --awaited_[bucket_of_[parameter]];
  const size_t before = next_bucket_;
  status_ = StartReady();
  for (size_t b = before; b < next_bucket_; ++b) {
    started_early_ += IsLive(live_units_, buckets_[b].unit) ? 1 : 0;
  }
}

absl::Status GradientReducer::StartReady() {
  while (next_bucket_ < buckets_.size() && awaited_[next_bucket_] == 0) {
    RETURN_IF_ERROR(StartBucket(buckets_[next_bucket_++]));
  }
  return absl::OkStatus();
}

absl::Status GradientReducer::StartBucket(const Bucket& bucket) {
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
  armed_ = false;
  RETURN_IF_ERROR(status_);
  std::fill(awaited_.begin(), awaited_.end(), 0);
  RETURN_IF_ERROR(StartReady());
  while (!in_flight_.empty()) RETURN_IF_ERROR(FinishOldest());
  return absl::OkStatus();
}

absl::Status GradientReducer::Reduce(std::vector<bool> live_units) {
  const std::vector<bool> none(live_units.size(), false);
  Begin(std::move(live_units), none);
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
