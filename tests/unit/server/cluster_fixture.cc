#include "tests/unit/server/cluster_fixture.h"

#include "absl/strings/str_cat.h"
#include "core/base/files.h"

namespace dropbp::server {
namespace {

constexpr char kDataset[] = "{\"prompt\":\"a\",\"completion\":\"b\"}\n";

}  // namespace

void TestAgent::Connect(Coordinator& coordinator, std::vector<v1::LiveRank> live) {
  stream = std::make_shared<TestStream>();
  v1::SessionRequest frame;
  v1::WorkerHello* hello = frame.mutable_hello();
  hello->set_worker_id(id_);
  hello->set_incarnation(incarnation_);
  hello->add_models("tiny");
  v1::WorkerModel* model = hello->add_model_configs();
  model->set_name("tiny");
  *model->mutable_shape() = TestShape();
  for (int i = 0; i < slots_; ++i) {
    hello->add_slots()->set_index(i);
    hello->mutable_slots(i)->set_kind(v1::DeviceSlot::CPU);
  }
  for (v1::LiveRank& rank : live) *hello->add_ranks() = rank;
  ASSERT_TRUE(coordinator.Receive(stream, frame).ok());
}

void TestAgent::Disconnect(Coordinator& coordinator) { coordinator.Disconnected(stream.get()); }

absl::Status TestAgent::Heartbeat(Coordinator& coordinator) {
  v1::SessionRequest frame;
  frame.mutable_heartbeat();
  return coordinator.Receive(stream, frame);
}

absl::Status TestAgent::Send(Coordinator& coordinator, v1::SessionRequest frame) {
  frame.set_sequence(++sequence_);
  return Resend(coordinator, frame);
}

absl::Status TestAgent::Resend(Coordinator& coordinator, const v1::SessionRequest& frame) {
  return coordinator.Receive(stream, frame);
}

absl::Status TestAgent::Prepared(Coordinator& coordinator, const std::string& job_id,
                                 const std::string& error, bool retryable) {
  v1::SessionRequest frame;
  v1::PrepareResult* result = frame.mutable_prepare_result();
  result->set_job_id(job_id);
  result->set_error(error);
  result->set_retryable(retryable);
  if (error.empty()) {
    *result->mutable_model_shape() = TestShape();
    result->mutable_dataset_report()->set_samples(80);
    result->mutable_dataset_report()->set_tokens(8000);
    result->mutable_dataset_report()->set_supervised_tokens(4000);
  }
  return Send(coordinator, frame);
}

absl::Status TestAgent::Report(Coordinator& coordinator, const std::string& job_id, int attempt,
                               int rank, v1::TrainerReport report) {
  v1::SessionRequest frame;
  v1::RankReport* body = frame.mutable_rank_report();
  body->set_job_id(job_id);
  body->set_attempt(attempt);
  body->set_rank(rank);
  *body->mutable_report() = std::move(report);
  return Send(coordinator, frame);
}

absl::Status TestAgent::Ready(Coordinator& coordinator, const std::string& job_id, int attempt,
                              int rank) {
  v1::TrainerReport report;
  report.mutable_ready()->set_total_steps(10);
  return Report(coordinator, job_id, attempt, rank, report);
}

absl::Status TestAgent::Step(Coordinator& coordinator, const std::string& job_id, int attempt,
                             int rank, int64_t step) {
  v1::TrainerReport report;
  *report.mutable_step() = TestStep(step);
  return Report(coordinator, job_id, attempt, rank, report);
}

absl::Status TestAgent::Fail(Coordinator& coordinator, const std::string& job_id, int attempt,
                             int rank, v1::TrainerFailure::Kind kind, const std::string& message) {
  v1::TrainerReport report;
  report.mutable_failure()->set_kind(kind);
  report.mutable_failure()->set_message(message);
  return Report(coordinator, job_id, attempt, rank, report);
}

absl::Status TestAgent::Finished(Coordinator& coordinator, const std::string& job_id, int attempt,
                                 int rank, std::vector<v1::Artifact> artifacts) {
  v1::SessionRequest frame;
  v1::RankFinished* finished = frame.mutable_rank_finished();
  finished->set_job_id(job_id);
  finished->set_attempt(attempt);
  finished->set_rank(rank);
  finished->mutable_finished()->set_steps(10);
  for (v1::Artifact& artifact : artifacts)
    *finished->mutable_finished()->add_artifacts() = artifact;
  return Send(coordinator, frame);
}

absl::Status TestAgent::Stopped(Coordinator& coordinator, const std::string& job_id, int attempt,
                                int rank) {
  v1::SessionRequest frame;
  v1::RankExited& exited = *frame.mutable_rank_exited();
  exited.set_job_id(job_id);
  exited.set_attempt(attempt);
  exited.set_rank(rank);
  exited.set_stopped(true);
  return Send(coordinator, frame);
}

absl::Status TestAgent::Exited(Coordinator& coordinator, const std::string& job_id, int attempt,
                               int rank, int signal, int exit_code) {
  v1::SessionRequest frame;
  v1::RankExited* exited = frame.mutable_rank_exited();
  exited->set_job_id(job_id);
  exited->set_attempt(attempt);
  exited->set_rank(rank);
  exited->set_signal(signal);
  exited->set_exit_code(signal != 0 ? -1 : exit_code);
  exited->add_last_lines("the last line");
  return Send(coordinator, frame);
}

absl::Status TestAgent::Checkpoint(Coordinator& coordinator, const std::string& job_id, int attempt,
                                   int rank, int64_t step, const v1::Artifact& file) {
  v1::SessionRequest frame;
  v1::RankCheckpoint* body = frame.mutable_rank_checkpoint();
  body->set_job_id(job_id);
  body->set_attempt(attempt);
  body->set_rank(rank);
  v1::TrainerCheckpoint* part = body->mutable_checkpoint();
  part->set_step(step);
  part->set_file("part");
  *part->mutable_artifact() = file;
  const auto steps = static_cast<double>(step);
  part->mutable_progress()->set_step(step);
  part->mutable_progress()->set_loss(TestStep(step - 1).loss());
  part->mutable_progress()->set_tokens(step * TestStep(0).tokens());
  part->mutable_progress()->set_backward_flops_done(steps * TestStep(0).backward_flops_done());
  part->mutable_progress()->set_backward_flops_saved(steps * TestStep(0).backward_flops_saved());
  return Send(coordinator, frame);
}

std::vector<v1::StartRanks> TestAgent::Starts() const {
  std::vector<v1::StartRanks> starts;
  for (const auto& frame : Frames([](const auto& f) { return f.has_start_ranks(); })) {
    starts.push_back(frame.start_ranks());
  }
  return starts;
}

std::vector<v1::StopRanks> TestAgent::Stops() const {
  std::vector<v1::StopRanks> stops;
  for (const auto& frame : Frames([](const auto& f) { return f.has_stop_ranks(); })) {
    stops.push_back(frame.stop_ranks());
  }
  return stops;
}

std::vector<v1::MaskBlock> TestAgent::Masks(int rank) const {
  std::vector<v1::MaskBlock> blocks;
  for (const auto& frame : stream->frames) {
    if (frame.rank_command().command().has_mask_block() && frame.rank_command().rank() == rank) {
      blocks.push_back(frame.rank_command().command().mask_block());
    }
  }
  return blocks;
}

v1::LiveRank Live(const std::string& job_id, int attempt, int rank, int slot) {
  v1::LiveRank live;
  live.set_job_id(job_id);
  live.set_attempt(attempt);
  live.set_rank(rank);
  live.set_slot(slot);
  return live;
}

v1::ModelShape TestShape() {
  v1::ModelShape shape;
  shape.set_model_type("llama");
  shape.set_layers(2);
  shape.set_hidden_size(64);
  shape.set_intermediate_size(128);
  shape.set_attention_heads(4);
  shape.set_key_value_heads(2);
  shape.set_head_dim(16);
  shape.set_vocab_size(100);
  return shape;
}

v1::StepReport TestStep(int64_t step) {
  v1::StepReport report;
  report.set_step(step);
  report.set_loss(2.0 - 0.1 * static_cast<double>(step));
  report.set_tokens(100);
  report.set_step_seconds(0.5);
  report.set_backward_flops_done(60);
  report.set_backward_flops_saved(40);
  report.set_gradient_bytes_sent(10);
  report.set_gradient_bytes_dense(20);
  return report;
}

ClusterTest::ClusterTest() : logs_(dir_.path() + "/logs", 1 << 20) {
  artifacts_ = ArtifactStore::Open(dir_.path() + "/artifacts", 8 << 20).value();
  Crash();
}

void ClusterTest::Crash() {
  coordinator_.reset();
  auto store = JobStore::Open(dir_.path() + "/jobs.db");
  ASSERT_TRUE(store.ok()) << store.status();
  auto opened = Coordinator::Open(options_, *std::move(store), *artifacts_, logs_, clock_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  coordinator_ = *std::move(opened);
}

void ClusterTest::AdvanceTime(absl::Duration by, const std::vector<TestAgent*>& alive) {
  for (absl::Duration passed; passed < by; passed += absl::Seconds(1)) {
    clock_.Advance(absl::Seconds(1));
    for (TestAgent* agent : alive) ASSERT_TRUE(agent->Heartbeat(*coordinator_).ok());
    coordinator_->Tick();
  }
}

std::string ClusterTest::UploadDataset() {
  const std::string hash = Sha256Hex(kDataset);
  auto upload = artifacts_->NewUpload(hash, sizeof(kDataset) - 1).value();
  EXPECT_TRUE(upload->Write(kDataset).ok());
  EXPECT_TRUE(upload->Commit().ok());
  return hash;
}

v1::CreateJobRequest ClusterTest::Request(const std::string& job_id, int ranks) {
  v1::CreateJobRequest request;
  request.set_job_id(job_id);
  v1::JobSpec* spec = request.mutable_spec();
  spec->set_model("tiny");
  spec->mutable_dataset()->set_artifact(UploadDataset());
  spec->mutable_training()->set_steps(10);
  spec->mutable_training()->set_global_batch_size(8);
  spec->mutable_training()->set_micro_batch_size(2);
  spec->mutable_resources()->set_ranks(ranks);
  spec->mutable_resources()->set_device(v1::ResourcesSpec::CPU);
  spec->set_max_restarts(2);
  spec->mutable_dropbp()->set_allocation(v1::DropbpSpec::QUADRATIC);
  spec->mutable_dropbp()->set_probe_at(0.5);
  return request;
}

void ClusterTest::Submit(const std::string& job_id, int ranks) {
  const auto job = coordinator_->CreateJob(Request(job_id, ranks));
  ASSERT_TRUE(job.ok()) << job.status();
}

void ClusterTest::SubmitAndRun(const std::string& job_id, TestAgent& agent, int ranks) {
  Submit(job_id, ranks);
  ASSERT_TRUE(agent.Prepared(*coordinator_, job_id).ok());
  for (int rank = 0; rank < ranks; ++rank) {
    ASSERT_TRUE(agent.Ready(*coordinator_, job_id, 1, rank).ok());
  }
  ASSERT_EQ(State(job_id), v1::Job::RUNNING);
}

void ClusterTest::HandOver(TestAgent& agent, const std::string& job_id, int attempt, int rank,
                           int64_t step, std::string content) {
  if (content.empty()) content = absl::StrCat("part of rank ", rank, " after ", step, " steps");
  v1::Artifact file;
  file.set_sha256(artifacts_->Put(content).value());
  file.set_size_bytes(static_cast<int64_t>(content.size()));
  const absl::Status told = agent.Checkpoint(*coordinator_, job_id, attempt, rank, step, file);
  ASSERT_TRUE(told.ok()) << told;
}

void ClusterTest::TrainAndSave(TestAgent& agent, const std::string& job_id, int attempt,
                               int64_t from, int64_t step) {
  for (int64_t next = from; next < step; ++next) {
    for (const int rank : {0, 1}) {
      ASSERT_TRUE(agent.Step(*coordinator_, job_id, attempt, rank, next).ok());
    }
  }
  for (const int rank : {0, 1}) HandOver(agent, job_id, attempt, rank, step);
}

v1::Job ClusterTest::Get(const std::string& job_id) {
  const auto job = coordinator_->GetJob(job_id);
  EXPECT_TRUE(job.ok()) << job.status();
  return job.ok() ? *job : v1::Job();
}

std::vector<v1::JobEvent> ClusterTest::Events(const std::string& job_id) {
  const auto recorder = std::make_shared<Recorder>();
  const absl::Status watched = coordinator_->Watch(job_id, 0, recorder);
  EXPECT_TRUE(watched.ok()) << watched;
  coordinator_->Unwatch(job_id, recorder.get());
  return recorder->events;
}

}  // namespace dropbp::server
