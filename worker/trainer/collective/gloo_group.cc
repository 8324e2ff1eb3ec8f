#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "absl/time/time.h"
#include "worker/trainer/collective/backends.h"

namespace dropbp::trainer {

// Gloo's device is made by torch's own factory: only headers of Debian's gloo are used, never its
// library, whose symbols clash with the copy inside torch.
c10::intrusive_ptr<c10d::Backend> MakeGlooBackend(const ProcessGroupOptions& options,
                                                  const c10::intrusive_ptr<c10d::Store>& store) {
  auto gloo = c10d::ProcessGroupGloo::Options::create(absl::ToChronoMilliseconds(options.timeout));
  gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(options.host_address));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, options.rank, options.world_size, gloo);
}

}  // namespace dropbp::trainer
