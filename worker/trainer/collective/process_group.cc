#include "worker/trainer/collective/process_group.h"

#include "absl/strings/str_cat.h"
#include "worker/trainer/collective/backends.h"
#include "worker/trainer/collective/c10d_errors.h"
#include "worker/trainer/collective/c10d_group.h"
#include "worker/trainer/collective/link_store.h"

namespace dropbp::trainer {
namespace {

c10::intrusive_ptr<c10d::Backend> MakeBackend(const ProcessGroupOptions& options,
                                              std::shared_ptr<RendezvousStore> store) {
  auto rendezvous =
      c10::make_intrusive<LinkStore>(std::move(store), absl::ToChronoMilliseconds(options.timeout));
  return options.device == "cpu" ? MakeGlooBackend(options, rendezvous)
                                 : MakeNcclBackend(options, rendezvous);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeProcessGroup(
    const ProcessGroupOptions& options, std::shared_ptr<RendezvousStore> store) {
  std::unique_ptr<ProcessGroup> group;
  RETURN_IF_ERROR(RunCollective(absl::StrCat("rank ", options.rank, " of ", options.world_size,
                                             ", rendezvous on ", options.device),
                                [&] {
                                  group = std::make_unique<C10dGroup>(
                                      MakeBackend(options, std::move(store)),
                                      c10::Device(options.device));
                                }));
  RETURN_IF_ERROR(group->Barrier());
  return group;
}

}  // namespace dropbp::trainer
