#include <c10/util/Exception.h>

#include "absl/time/time.h"
#include "worker/trainer/collective/backends.h"
#ifdef DROPBP_CUDA
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace dropbp::trainer {

c10::intrusive_ptr<c10d::Backend> MakeNcclBackend(const ProcessGroupOptions& options,
                                                  const c10::intrusive_ptr<c10d::Store>& store) {
#ifdef DROPBP_CUDA
  auto nccl = c10d::ProcessGroupNCCL::Options::create();
  nccl->timeout = absl::ToChronoMilliseconds(options.timeout);
  auto backend =
      c10::make_intrusive<c10d::ProcessGroupNCCL>(store, options.rank, options.world_size, nccl);
  backend->setBoundDeviceId(c10::Device(options.device));
  return backend;
#else
  (void)store;
  C10_THROW_ERROR(NotImplementedError,
                  "device " + options.device + ": this build has no CUDA, so only cpu works");
#endif
}

}  // namespace dropbp::trainer
