#include "worker/trainer/model/recorded.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/variable.h>

#include <mutex>
#include <utility>

namespace dropbp::trainer {
namespace {

class RecordedNode : public torch::autograd::Node {
 public:
  explicit RecordedNode(BackwardFunction backward) : backward_(std::move(backward)) {}

  std::string name() const override { return "DropbpBackward"; }

 protected:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!grads[0].defined()) return torch::autograd::variable_list(num_outputs());
    TORCH_CHECK(backward_,
                "backward through a decoder's graph a second time, and it was not retained");
    std::vector<bool> needed(num_outputs());
    for (size_t i = 0; i < needed.size(); ++i) needed[i] = task_should_compute_output(i);
    at::NoGradGuard no_grad;
    return backward_(grads[0], needed);
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    backward_ = nullptr;
  }

 private:
  BackwardFunction backward_;
};

}  // namespace

bool AnyRequiresGrad(const std::vector<at::Tensor>& inputs) {
  if (!at::GradMode::is_enabled()) return false;
  for (const at::Tensor& input : inputs) {
    if (input.requires_grad()) return true;
  }
  return false;
}

at::Tensor Recorded(at::Tensor value, const std::vector<at::Tensor>& inputs,
                    BackwardFunction backward) {
  auto node = std::shared_ptr<RecordedNode>(new RecordedNode(std::move(backward)),
                                            torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  torch::autograd::set_history(value, node);
  return value;
}

}  // namespace dropbp::trainer
