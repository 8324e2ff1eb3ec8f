#include "tests/unit/worker/trainer/link/agent_server.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace dropbp::trainer {
namespace {

v1::ConnectResponse ExampleAssignment() {
  v1::ConnectResponse response;
  v1::Assignment& assignment = *response.mutable_assignment();
  assignment.set_job_id("job");
  assignment.set_attempt(3);
  assignment.set_rank(1);
  assignment.set_world_size(2);
  assignment.mutable_spec()->mutable_lora()->set_rank(8);
  assignment.set_model_dir("/models/tiny");
  assignment.set_dataset_path("/cache/data");
  (*assignment.mutable_mix_paths())["more"] = "/cache/more";
  assignment.set_output_dir("/out");
  assignment.set_device("cuda:0");
  assignment.set_threads(4);
  assignment.set_host_address("127.0.0.2");
  return response;
}

}  // namespace

AgentServer::AgentServer() {
  folder_ = std::filesystem::temp_directory_path() / "dropbp-test-XXXXXX";
  mkdtemp(folder_.data());
  socket_path_ = folder_ + "/agent.sock";
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket_path_, grpc::InsecureServerCredentials());
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

AgentServer::~AgentServer() {
  Stop();
  std::filesystem::remove_all(folder_);
}

void AgentServer::Stop() {
  if (server_) server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

void AgentServer::set_final_status(grpc::Status status) {
  absl::MutexLock lock(&mutex_);
  final_status_ = std::move(status);
}

void AgentServer::Send(const v1::ConnectResponse& response) {
  absl::MutexLock lock(&mutex_);
  ASSERT_NE(stream_, nullptr);
  stream_->Write(response);
}

v1::ConnectRequest AgentServer::Await(const std::function<bool(const v1::ConnectRequest&)>& fits) {
  absl::MutexLock lock(&mutex_);
  v1::ConnectRequest found;
  const auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const v1::ConnectRequest& message : messages_) {
      if (!fits(message)) continue;
      found = message;
      return true;
    }
    return false;
  };
  EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&came), kPatience));
  return found;
}

std::vector<v1::ConnectRequest> AgentServer::Messages() {
  absl::MutexLock lock(&mutex_);
  return messages_;
}

void AgentServer::AwaitStreamEnd() {
  absl::MutexLock lock(&mutex_);
  const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stream_ == nullptr; };
  EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&ended), kPatience));
}

grpc::Status AgentServer::Connect(
    grpc::ServerContext*,
    grpc::ServerReaderWriter<v1::ConnectResponse, v1::ConnectRequest>* stream) {
  v1::ConnectRequest message;
  if (!stream->Read(&message) || message.hello().token() != "secret") {
    return {grpc::StatusCode::PERMISSION_DENIED, "wrong token"};
  }
  {
    absl::MutexLock lock(&mutex_);
    stream_ = stream;
    stream->Write(ExampleAssignment());
  }
  while (!message.has_finished() && stream->Read(&message)) {
    absl::MutexLock lock(&mutex_);
    messages_.push_back(message);
  }
  absl::MutexLock lock(&mutex_);
  stream_ = nullptr;
  return final_status_;
}

}  // namespace dropbp::trainer
