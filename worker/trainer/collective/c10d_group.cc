#include "worker/trainer/collective/c10d_group.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "worker/trainer/collective/c10d_errors.h"

namespace dropbp::trainer {

class C10dGroup::PendingWork : public PendingCollective {
 public:
  PendingWork(C10dGroup* group, c10::intrusive_ptr<c10d::Work> work)
      : group_(group), work_(std::move(work)) {}
  absl::Status Wait() override {
    return group_->Run("all-reduce", [this] { work_->wait(); });
  }

 private:
  C10dGroup* group_;
  c10::intrusive_ptr<c10d::Work> work_;
};

// NCCL wants to be told of the end; what goes wrong then is nobody's concern any more.
C10dGroup::~C10dGroup() {
  RunCollective("shutdown", [this] { backend_->shutdown(); }).IgnoreError();
}

absl::Status C10dGroup::Run(const char* operation, const std::function<void()>& collective) {
  if (!failure_.ok()) return failure_;
  failure_ = RunCollective(absl::StrCat("rank ", rank(), " of ", world_size(), ", step ", step_,
                                        ", ", operation, " (", backend_->getBackendName(), ")"),
                           collective);
  return failure_;
}

absl::StatusOr<std::unique_ptr<PendingCollective>> C10dGroup::StartAllReduceSum(
    const at::Tensor& flat) {
  std::unique_ptr<PendingCollective> pending;
  RETURN_IF_ERROR(Run("all-reduce", [&] {
    std::vector<at::Tensor> tensors = {flat};
    pending = std::make_unique<PendingWork>(this, backend_->allreduce(tensors));
  }));
  return pending;
}

absl::StatusOr<std::vector<std::vector<int64_t>>> C10dGroup::AllGather(
    absl::Span<const int64_t> values) {
  return GatherVectors(values);
}

absl::StatusOr<std::vector<std::vector<double>>> C10dGroup::AllGather(
    absl::Span<const double> values) {
  return GatherVectors(values);
}

template <typename T>
absl::StatusOr<std::vector<std::vector<T>>> C10dGroup::GatherVectors(absl::Span<const T> values) {
  std::vector<std::vector<T>> result;
  RETURN_IF_ERROR(Run("all-gather", [&] {
    const auto host = at::TensorOptions().dtype(c10::CppTypeToScalarType<T>());
    at::Tensor mine = at::empty({static_cast<int64_t>(values.size())}, host);
    std::copy(values.begin(), values.end(), mine.data_ptr<T>());
    std::vector<at::Tensor> inputs = {mine.to(device_)};
    std::vector<std::vector<at::Tensor>> outputs(1);
    for (int r = 0; r < world_size(); ++r) outputs[0].push_back(at::empty_like(inputs[0]));
    backend_->allgather(outputs, inputs)->wait();
    for (const at::Tensor& output : outputs[0]) {
      const at::Tensor theirs = output.cpu();
      const T* data = theirs.template data_ptr<T>();
      result.emplace_back(data, data + theirs.numel());
    }
  }));
  return result;
}

absl::Status C10dGroup::Barrier() {
  return Run("barrier", [this] { backend_->barrier()->wait(); });
}

}  // namespace dropbp::trainer
