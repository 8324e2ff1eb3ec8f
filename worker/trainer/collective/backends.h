// c10d's collective libraries, one file each. Both throw what c10d throws.
#pragma once

#include <c10/core/Device.h>

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "worker/trainer/collective/process_group.h"

namespace dropbp::trainer {

// Gloo over TCP on the interface of options.host_address.
c10::intrusive_ptr<c10d::Backend> MakeGlooBackend(const ProcessGroupOptions& options,
                                                  const c10::intrusive_ptr<c10d::Store>& store);

// NCCL on a CUDA device; throws in a build without CUDA.
c10::intrusive_ptr<c10d::Backend> MakeNcclBackend(const ProcessGroupOptions& options,
                                                  const c10::intrusive_ptr<c10d::Store>& store);

}  // namespace dropbp::trainer
