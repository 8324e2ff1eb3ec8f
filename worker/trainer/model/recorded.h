// One node of the autograd graph with a hand-written backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace dropbp::trainer {

// Maps the cotangent of the output to those of the inputs. `needed[i]` says whether input i's is
// wanted; an unwanted one may be left undefined. Called without recording, as often as backward
// runs through the node.
using BackwardFunction =
    std::function<std::vector<at::Tensor>(const at::Tensor& grad, const std::vector<bool>& needed)>;

// Whether a gradient could reach any of `inputs`: recording is on and one of them requires it.
bool AnyRequiresGrad(const std::vector<at::Tensor>& inputs);

// Makes `value` (computed without recording) the output of a node with these inputs. The node drops
// `backward` and what it captured once backward has run, unless the graph is retained. `backward`
// must not capture `value`.
at::Tensor Recorded(at::Tensor value, const std::vector<at::Tensor>& inputs,
                    BackwardFunction backward);

}  // namespace dropbp::trainer
