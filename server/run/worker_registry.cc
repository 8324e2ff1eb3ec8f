#include "server/run/worker_registry.h"

#include "absl/strings/str_cat.h"
#include "server/run/proto_time.h"

namespace dropbp::server {

void WorkerRegistry::Expect(const std::string& worker_id, absl::Time now) {
  KnownWorker& worker = workers_[worker_id];
  worker.hello.set_worker_id(worker_id);
  worker.last_seen = now;
}

KnownWorker& WorkerRegistry::Hello(const v1::WorkerHello& hello,
                                   std::shared_ptr<WorkerOutbox> outbox, absl::Time now) {
  KnownWorker& worker = workers_[hello.worker_id()];
  if (worker.outbox != nullptr && worker.outbox != outbox) {
    worker.outbox->Close(absl::AbortedError(
        absl::StrCat("worker '", hello.worker_id(), "' opened another session")));
  }
  if (worker.hello.incarnation() != hello.incarnation()) {
    worker = KnownWorker();
  }
  worker.hello = hello;
  worker.leaving = hello.has_draining();
  worker.outbox = std::move(outbox);
  worker.last_seen = now;
  worker.uses.clear();
  for (const v1::LiveRank& rank : hello.ranks()) {
    worker.uses[rank.slot()] = {.job_id = rank.job_id(),
                                .attempt = rank.attempt(),
                                .rank = rank.rank(),
                                .told_to_stop = false};
  }
  return worker;
}

void WorkerRegistry::Disconnected(const WorkerOutbox* outbox) {
  if (KnownWorker* worker = FindByOutbox(outbox)) worker->outbox = nullptr;
}

KnownWorker* WorkerRegistry::Find(const std::string& worker_id) {
  const auto found = workers_.find(worker_id);
  return found == workers_.end() ? nullptr : &found->second;
}

KnownWorker* WorkerRegistry::FindByOutbox(const WorkerOutbox* outbox) {
  for (auto& [id, worker] : workers_) {
    if (worker.outbox.get() == outbox) return &worker;
  }
  return nullptr;
}

void WorkerRegistry::Send(const std::string& worker_id, v1::SessionResponse frame) {
  KnownWorker* worker = Find(worker_id);
  if (worker != nullptr && worker->connected()) worker->outbox->Send(std::move(frame));
}

std::vector<std::string> WorkerRegistry::Expired(absl::Time now, absl::Duration lease) const {
  std::vector<std::string> expired;
  for (const auto& [id, worker] : workers_) {
    if (now - worker.last_seen > lease) expired.push_back(id);
  }
  return expired;
}

void WorkerRegistry::Remove(const std::string& worker_id) { workers_.erase(worker_id); }

void WorkerRegistry::Forgive(absl::Duration pause) {
  for (auto& [id, worker] : workers_) worker.last_seen += pause;
}

void WorkerRegistry::NoteStop(const std::string& worker_id, const std::string& job_id,
                              int attempt) {
  KnownWorker* worker = Find(worker_id);
  if (worker == nullptr || !worker->connected()) return;
  for (auto& [slot, use] : worker->uses) {
    if (use.job_id == job_id && use.attempt == attempt) use.told_to_stop = true;
  }
}

void WorkerRegistry::Release(const std::string& worker_id, const std::string& job_id, int attempt,
                             int rank) {
  KnownWorker* worker = Find(worker_id);
  if (worker == nullptr) return;
  for (auto use = worker->uses.begin(); use != worker->uses.end(); ++use) {
    if (use->second.job_id == job_id && use->second.attempt == attempt &&
        use->second.rank == rank) {
      worker->uses.erase(use);
      return;
    }
  }
}

std::vector<PoolWorker> WorkerRegistry::Pool() const {
  std::vector<PoolWorker> pool;
  for (const auto& [id, worker] : workers_) {
    if (!worker.connected()) continue;
    PoolWorker& entry = pool.emplace_back();
    entry.worker_id = id;
    entry.models.assign(worker.hello.models().begin(), worker.hello.models().end());
    entry.preparing = !worker.preparing.empty();
    entry.draining = worker.draining();
    for (const v1::DeviceSlot& slot : worker.hello.slots()) {
      entry.slots.push_back(
          {.index = slot.index(),
           .kind = slot.kind() == v1::DeviceSlot::CUDA ? DeviceKind::kCuda : DeviceKind::kCpu,
           .busy = worker.uses.count(slot.index()) > 0});
    }
  }
  return pool;
}

std::vector<v1::Worker> WorkerRegistry::Describe() const {
  std::vector<v1::Worker> workers;
  for (const auto& [id, known] : workers_) workers.push_back(Describe(known));
  return workers;
}

v1::Worker WorkerRegistry::Describe(const KnownWorker& known) {
  v1::Worker worker;
  worker.set_worker_id(known.id());
  worker.set_hostname(known.hello.hostname());
  worker.set_version(known.hello.version());
  *worker.mutable_slots() = known.hello.slots();
  *worker.mutable_models() = known.hello.models();
  *worker.mutable_last_seen_time() = ToProto(known.last_seen);
  worker.set_connected(known.connected());
  worker.set_draining(known.draining());
  for (v1::DeviceSlot& slot : *worker.mutable_slots()) {
    const auto use = known.uses.find(slot.index());
    slot.set_job_id(use == known.uses.end() ? "" : use->second.job_id);
    slot.set_rank(use == known.uses.end() ? 0 : use->second.rank);
  }
  return worker;
}

}  // namespace dropbp::server
