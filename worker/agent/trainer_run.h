// One trainer process from its placement to its report of death.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "dropbp/v1/trainer_link.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"
#include "worker/agent/cancel_token.h"
#include "worker/agent/devices.h"
#include "worker/agent/log_pump.h"
#include "worker/agent/spawner.h"
#include "worker/agent/work_folder.h"

namespace dropbp::agent {

// Hands a frame to the session with the coordinator.
using SendFrame = std::function<void(v1::SessionRequest)>;

// What all trainers of an agent share; outlives them.
struct TrainerHost {
  Spawner& spawner;
  const WorkFolder& folder;
  const std::string trainer;  // program
  const SendFrame send;
};

// Protocol:
// a. A run waits (for its data, for its slot) until Launch(), or ends unstarted by FailStart() or
// Stop(). b. The process connects to the link server with the run's token; AttachLink() ...
// DetachLink() span that stream. c. A supervisor thread pumps the output, carries out stops and
// sees the process die. Then it kills what is left of
//    the group, waits for the link's last reports, and sends RankExited, always as the last frame
//    of this rank.
// Thread-safe.
class TrainerRun {
 public:
  // `on_ended` is called once, after RankExited, on the thread that ended the run.
  TrainerRun(TrainerHost& host, RankKey key, Slot slot, std::function<void()> on_ended);
  // The run must have ended.
  ~TrainerRun();

  const RankKey& key() const { return key_; }
  const Slot& slot() const { return slot_; }
  const std::string& token() const { return token_; }
  // Cancelled when the run shall stop.
  const CancelToken& cancel() const { return cancel_; }
  // Cancelled when nothing may be handed over any more: by a stop that saves nothing at once, by
  // one that does at the end of its grace.
  const CancelToken& transfers() const { return transfers_; }
  bool ended() const;
  // Process id while the process runs, else -1.
  pid_t running_pid() const;

  // Starts the process; nothing if the run was stopped before.
  void Launch(v1::Assignment assignment);
  // Ends a run that waits.
  void FailStart(const std::string& error);
  // Asks the trainer to stop: StopTrainer at once, SIGTERM at half of the grace (at once if it has
  // not connected, never if it is to save a checkpoint), SIGKILL to its group at the end. An
  // earlier, sharper request stays in force.
  void Stop(const std::string& reason, absl::Duration grace, bool save_checkpoint);
  // The trainer is done and has to end by itself soon.
  void ExpectEnd();

  // Sends the trainer a command, now or when it connects.
  void Deliver(const v1::TrainerCommand& command);

  // The link of this run is connected; `sever` breaks its stream. The assignment, or nothing if
  // there is no process or it is connected already.
  std::optional<v1::Assignment> AttachLink(std::function<void()> sever);
  // Waits for the next message to the trainer; nothing once the link is closing.
  std::optional<v1::ConnectResponse> NextMessage();
  // No more messages to the trainer.
  void CloseMessages();
  // The stream is over and all that came over it was sent on.
  void DetachLink();

 private:
  enum class State { kWaiting, kRunning, kEnded };
  // When a stop becomes sharper.
  struct StopPlan {
    absl::Time terminate = absl::InfiniteFuture();
    absl::Time kill = absl::InfiniteFuture();
  };

  absl::Status StartProcess();
  void SetRunning(pid_t pid);
  ChildCommand Command(int output_fd) const;
  void Supervise();
  // Waits for output, death, a new stop request or the next moment of a stop; true when the process
  // is dead.
  bool WaitForProcess(bool& output_open);
  void CarryOutStop();
  // Waits until the link's last reports were sent on and its last files handed over.
  void AwaitLinkEnd();
  void PlanStop(StopPlan plan) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendLog(std::string lines);
  // Reports the end and makes it known; the last thing a run does.
  void End(v1::RankExited exited);

  TrainerHost& host_;
  const RankKey key_;
  const Slot slot_;
  const std::string token_;
  const std::function<void()> on_ended_;
  CancelToken cancel_;
  CancelToken transfers_;

  // The supervisor's own once it runs.
  pid_t pid_ = -1;
  int pid_fd_ = -1;
  int wake_fd_ = -1;  // eventfd; readable when there is a new stop plan
  std::unique_ptr<LogPump> output_;
  int64_t log_bytes_sent_ = 0;
  bool terminated_ = false;
  bool killed_ = false;
  std::thread supervisor_;

  mutable absl::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kWaiting;
  pid_t running_pid_ ABSL_GUARDED_BY(mutex_) = -1;
  StopPlan stop_plan_ ABSL_GUARDED_BY(mutex_);
  v1::Assignment assignment_ ABSL_GUARDED_BY(mutex_);
  bool linked_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_messages_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> sever_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::ConnectResponse> messages_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp::agent
