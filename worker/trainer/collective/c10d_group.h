// A ProcessGroup over any c10d backend: the one door where its exceptions become Status.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "worker/trainer/collective/process_group.h"

namespace dropbp::trainer {

class C10dGroup : public ProcessGroup {
 public:
  // `device` is where the backend's tensors live.
  C10dGroup(c10::intrusive_ptr<c10d::Backend> backend, c10::Device device)
      : backend_(std::move(backend)), device_(device) {}
  ~C10dGroup() override;

  int rank() const override { return backend_->getRank(); }
  int world_size() const override { return backend_->getSize(); }
  void SetStep(int64_t step) override { step_ = step; }
  absl::StatusOr<std::unique_ptr<PendingCollective>> StartAllReduceSum(
      const at::Tensor& flat) override;
  absl::StatusOr<std::vector<std::vector<int64_t>>> AllGather(
      absl::Span<const int64_t> values) override;
  absl::StatusOr<std::vector<std::vector<double>>> AllGather(
      absl::Span<const double> values) override;
  absl::Status Barrier() override;

 private:
  class PendingWork;

  // Runs `collective`; what it throws becomes the group's lasting failure.
  absl::Status Run(const char* operation, const std::function<void()>& collective);

  template <typename T>
  absl::StatusOr<std::vector<std::vector<T>>> GatherVectors(absl::Span<const T> values);

  c10::intrusive_ptr<c10d::Backend> backend_;
  c10::Device device_;
  int64_t step_ = -1;     // -1: before the first step
  absl::Status failure_;  // the first failure, for good
};

}  // namespace dropbp::trainer
