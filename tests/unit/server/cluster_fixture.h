// A coordinator with in-memory agents and a clock that moves when told.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/plan/mask_plan.h"
#include "server/run/coordinator.h"
#include "tests/unit/server/temp_dir.h"

namespace dropbp::server {

// The agent's side of one session, kept for inspection.
class TestStream : public WorkerOutbox {
 public:
  void Send(v1::SessionResponse frame) override { frames.push_back(std::move(frame)); }
  void Close(const absl::Status& status) override { closed = status; }

  std::vector<v1::SessionResponse> frames;
  std::optional<absl::Status> closed;
};

// Speaks for one worker agent.
class TestAgent {
 public:
  TestAgent(std::string id, uint64_t incarnation, int slots)
      : id_(std::move(id)), incarnation_(incarnation), slots_(slots) {}

  // Opens a session and says hello, listing `live` ranks.
  void Connect(Coordinator& coordinator, std::vector<v1::LiveRank> live = {});
  void Disconnect(Coordinator& coordinator);
  absl::Status Heartbeat(Coordinator& coordinator);

  // Sends a frame with the next sequence number.
  absl::Status Send(Coordinator& coordinator, v1::SessionRequest frame);
  // Sends a frame as it is.
  absl::Status Resend(Coordinator& coordinator, const v1::SessionRequest& frame);

  absl::Status Prepared(Coordinator& coordinator, const std::string& job_id,
                        const std::string& error = "", bool retryable = false);
  absl::Status Report(Coordinator& coordinator, const std::string& job_id, int attempt, int rank,
                      v1::TrainerReport report);
  absl::Status Ready(Coordinator& coordinator, const std::string& job_id, int attempt, int rank);
  absl::Status Step(Coordinator& coordinator, const std::string& job_id, int attempt, int rank,
                    int64_t step);
  absl::Status Fail(Coordinator& coordinator, const std::string& job_id, int attempt, int rank,
                    v1::TrainerFailure::Kind kind, const std::string& message);
  absl::Status Finished(Coordinator& coordinator, const std::string& job_id, int attempt, int rank,
                        std::vector<v1::Artifact> artifacts = {});
  // Tells that a rank's part of a checkpoint is uploaded, with progress that counts `step` steps.
  absl::Status Checkpoint(Coordinator& coordinator, const std::string& job_id, int attempt,
                          int rank, int64_t step, const v1::Artifact& file);
  absl::Status Exited(Coordinator& coordinator, const std::string& job_id, int attempt, int rank,
                      int signal = 0, int exit_code = 0);
  // The trainer of a rank ended because its agent asked it to.
  absl::Status Stopped(Coordinator& coordinator, const std::string& job_id, int attempt, int rank);

  // Frames of this session for which `has` is true.
  template <typename Has>
  std::vector<v1::SessionResponse> Frames(Has has) const {
    std::vector<v1::SessionResponse> found;
    for (const auto& frame : stream->frames) {
      if (has(frame)) found.push_back(frame);
    }
    return found;
  }
  std::vector<v1::StartRanks> Starts() const;
  std::vector<v1::StopRanks> Stops() const;
  std::vector<v1::MaskBlock> Masks(int rank) const;

  void set_incarnation(uint64_t incarnation) {
    incarnation_ = incarnation;
    sequence_ = 0;
  }
  int64_t sequence() const { return sequence_; }
  std::shared_ptr<TestStream> stream;

 private:
  const std::string id_;
  uint64_t incarnation_;
  const int slots_;
  int64_t sequence_ = 0;
};

v1::LiveRank Live(const std::string& job_id, int attempt, int rank, int slot);
v1::ModelShape TestShape();
v1::StepReport TestStep(int64_t step);

// Keeps what a watch delivers.
class Recorder : public JobWatcher {
 public:
  void OnEvent(const v1::JobEvent& event) override { events.push_back(event); }
  void OnEnd(const absl::Status& status) override { end = status; }
  std::vector<v1::JobEvent> events;
  std::optional<absl::Status> end;
};

class ClusterTest : public ::testing::Test {
 protected:
  ClusterTest();

  // What is left of the coordinator after kill -9 is taken up by a new one.
  void Crash();
  // Moves the clock second by second, with a tick after each; connected agents stay alive.
  void AdvanceTime(absl::Duration by, const std::vector<TestAgent*>& alive = {});

  std::string UploadDataset();
  v1::CreateJobRequest Request(const std::string& job_id, int ranks = 2);
  void Submit(const std::string& job_id, int ranks = 2);
  // Submits and takes a job with one rank a slot on `agent` to RUNNING.
  void SubmitAndRun(const std::string& job_id, TestAgent& agent, int ranks = 2);

  // Uploads a part of a checkpoint and tells the coordinator. By default parts differ by rank and
  // step.
  void HandOver(TestAgent& agent, const std::string& job_id, int attempt, int rank, int64_t step,
                std::string content = "");
  // Both ranks make the steps up to `step` and hand over the checkpoint after it.
  void TrainAndSave(TestAgent& agent, const std::string& job_id, int attempt, int64_t from,
                    int64_t step);

  v1::Job Get(const std::string& job_id);
  // The job's stored events so far.
  std::vector<v1::JobEvent> Events(const std::string& job_id);
  v1::Job::State State(const std::string& job_id) { return Get(job_id).state(); }

  TempDir dir_;
  ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  CoordinatorOptions options_;
  std::unique_ptr<ArtifactStore> artifacts_;
  LogStore logs_;
  std::unique_ptr<Coordinator> coordinator_;
};

}  // namespace dropbp::server
