// The workers that the coordinator knows: their sessions, leases and slots.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/status.h"
#include "dropbp/v1/cluster_service.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"
#include "server/schedule/scheduler.h"

namespace dropbp::server {

// The way out to one agent: frames in order, for as long as its stream is open. Called under the
// coordinator's lock: must not block and must not call back.
class WorkerOutbox {
 public:
  virtual ~WorkerOutbox() = default;
  virtual void Send(v1::SessionResponse frame) = 0;
  // Ends the stream with a status.
  virtual void Close(const absl::Status& status) = 0;
};

// Who occupies a slot. A slot is free only when the process on it is known to be gone.
struct SlotUse {
  std::string job_id;
  int attempt = 0;
  int rank = 0;
  bool told_to_stop = false;
};

struct KnownWorker {
  v1::WorkerHello hello;                 // only the id until it says hello
  std::shared_ptr<WorkerOutbox> outbox;  // null while its stream is not open
  absl::Time last_seen;
  int64_t taken_in = 0;         // newest sequence number processed
  int64_t acknowledged = 0;     // newest sequence number whose effects are durable
  std::map<int, SlotUse> uses;  // by slot
  std::string preparing;        // job whose data it checks
  bool leaving = false;         // its process is being stopped
  bool drained = false;         // a person took it out of use

  const std::string& id() const { return hello.worker_id(); }
  bool connected() const { return outbox != nullptr; }
  bool draining() const { return leaving || drained; }
  // It said that it goes, and all of its trainers have ended: its silence is no loss.
  bool left() const { return leaving && uses.empty(); }
};

// Not thread-safe. Pointers to workers are valid until the worker is removed.
class WorkerRegistry {
 public:
  // Waits for a worker that had ranks when the coordinator stopped.
  void Expect(const std::string& worker_id, absl::Time now);
  // Takes in a hello; a stream that the worker had before is closed. A new incarnation starts with
  // no slots in use and nothing taken in.
  KnownWorker& Hello(const v1::WorkerHello& hello, std::shared_ptr<WorkerOutbox> outbox,
                     absl::Time now);
  void Disconnected(const WorkerOutbox* outbox);

  KnownWorker* Find(const std::string& worker_id);
  KnownWorker* FindByOutbox(const WorkerOutbox* outbox);
  // Sends a frame if the worker's stream is open; what is lost is made up for after its next hello.
  void Send(const std::string& worker_id, v1::SessionResponse frame);

  // Ids of workers that were not heard for a lease.
  std::vector<std::string> Expired(absl::Time now, absl::Duration lease) const;
  void Remove(const std::string& worker_id);
  // Moves all leases on: the coordinator itself was not running.
  void Forgive(absl::Duration pause);

  // An attempt's ranks on a worker are told to stop. A worker that is not connected hears nothing:
  // its next hello tells whether they still live.
  void NoteStop(const std::string& worker_id, const std::string& job_id, int attempt);
  // Frees the slot of a rank whose process ended.
  void Release(const std::string& worker_id, const std::string& job_id, int attempt, int rank);

  std::vector<PoolWorker> Pool() const;
  std::vector<v1::Worker> Describe() const;
  static v1::Worker Describe(const KnownWorker& known);
  std::map<std::string, KnownWorker>& all() { return workers_; }

 private:
  std::map<std::string, KnownWorker> workers_;
};

}  // namespace dropbp::server
