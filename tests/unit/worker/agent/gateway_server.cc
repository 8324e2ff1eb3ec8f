#include "tests/unit/worker/agent/gateway_server.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"

namespace dropbp::agent {
namespace {

constexpr size_t kChunkBytes = 64 << 10;

using Stream = grpc::ServerReaderWriter<v1::SessionResponse, v1::SessionRequest>;

}  // namespace

struct GatewayServer::State {
  absl::Mutex mutex;
  bool acknowledges = true;
  int64_t taken_in = 0;  // highest sequence number acknowledged
  std::vector<v1::SessionRequest> frames;
  std::vector<v1::WorkerHello> hellos;
  int heartbeats = 0;
  Stream* stream = nullptr;  // the current stream, once welcomed
  grpc::ServerContext* context = nullptr;
  std::map<std::string, std::string> files;
  int downloads = 0;
  int failures_left = 0;
  grpc::StatusCode failure = grpc::StatusCode::OK;

  // Whether a transfer shall fail now.
  bool TakeFailure(grpc::Status& status) {
    absl::MutexLock lock(&mutex);
    if (failures_left == 0) return false;
    --failures_left;
    status = grpc::Status(failure, "as the test asked");
    return true;
  }
};

class GatewayServer::Gateway final : public v1::WorkerGatewayService::Service {
 public:
  explicit Gateway(State& state) : state_(state) {}

  grpc::Status Session(grpc::ServerContext* context, Stream* stream) override {
    v1::SessionRequest request;
    if (!stream->Read(&request) || !request.has_hello()) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "hello expected"};
    }
    Welcome(request.hello(), context, stream);
    while (stream->Read(&request)) TakeIn(request, stream);
    absl::MutexLock lock(&state_.mutex);
    if (state_.stream == stream) state_.stream = nullptr;
    return grpc::Status::OK;
  }

 private:
  void Welcome(const v1::WorkerHello& hello, grpc::ServerContext* context, Stream* stream) {
    absl::MutexLock lock(&state_.mutex);
    v1::SessionResponse response;
    response.mutable_welcome()->set_lease_seconds(15);
    response.mutable_welcome()->set_heartbeat_seconds(0.05);
    response.mutable_welcome()->set_acknowledged(state_.taken_in);
    stream->Write(response);
    state_.hellos.push_back(hello);
    state_.stream = stream;
    state_.context = context;
  }

  void TakeIn(const v1::SessionRequest& request, Stream* stream) {
    absl::MutexLock lock(&state_.mutex);
    if (request.has_heartbeat()) ++state_.heartbeats;
    if (request.sequence() == 0) return;
    state_.frames.push_back(request);
    if (!state_.acknowledges) return;
    state_.taken_in = request.sequence();
    v1::SessionResponse response;
    response.set_acknowledged(request.sequence());
    stream->Write(response);
  }

  State& state_;
};

class GatewayServer::Artifacts final : public v1::ArtifactService::Service {
 public:
  explicit Artifacts(State& state) : state_(state) {}

  grpc::Status UploadFile(grpc::ServerContext*, grpc::ServerReader<v1::UploadFileRequest>* reader,
                          v1::Artifact* stored) override {
    grpc::Status failure;
    if (state_.TakeFailure(failure)) return failure;
    std::string content;
    v1::UploadFileRequest request;
    while (reader->Read(&request)) {
      if (request.has_header()) *stored = request.header();
      content += request.chunk();
    }
    if (Sha256Hex(content) != stored->sha256()) {
      return {grpc::StatusCode::DATA_LOSS, "hash differs"};
    }
    absl::MutexLock lock(&state_.mutex);
    state_.files[stored->sha256()] = content;
    return grpc::Status::OK;
  }

  grpc::Status DownloadFile(grpc::ServerContext*, const v1::DownloadFileRequest* request,
                            grpc::ServerWriter<v1::DownloadFileResponse>* writer) override {
    std::string content;
    {
      absl::MutexLock lock(&state_.mutex);
      ++state_.downloads;
      const auto found = state_.files.find(request->sha256());
      if (found == state_.files.end()) return {grpc::StatusCode::NOT_FOUND, "no such file"};
      content = found->second;
    }
    grpc::Status failure;
    if (state_.TakeFailure(failure)) return failure;
    for (size_t at = 0; at < content.size(); at += kChunkBytes) {
      v1::DownloadFileResponse response;
      response.set_chunk(content.substr(at, kChunkBytes));
      writer->Write(response);
    }
    return grpc::Status::OK;
  }

 private:
  State& state_;
};

GatewayServer::GatewayServer()
    : address_("127.0.0.1:0"),
      state_(std::make_unique<State>()),
      gateway_(std::make_unique<Gateway>(*state_)),
      artifacts_(std::make_unique<Artifacts>(*state_)) {
  Start();
}

GatewayServer::~GatewayServer() { Stop(); }

void GatewayServer::Start() {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address_, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(gateway_.get());
  builder.RegisterService(artifacts_.get());
  server_ = builder.BuildAndStart();
  ASSERT_NE(port, 0) << "cannot listen on " << address_;
  address_ = absl::StrCat("127.0.0.1:", port);
}

void GatewayServer::Stop() {
  if (!server_) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

void GatewayServer::set_acknowledges(bool acknowledges) {
  absl::MutexLock lock(&state_->mutex);
  state_->acknowledges = acknowledges;
}

void GatewayServer::EndStream() {
  AwaitState([this] { return state_->stream != nullptr; });
  absl::MutexLock lock(&state_->mutex);
  state_->context->TryCancel();
  state_->stream = nullptr;
}

void GatewayServer::Send(const v1::SessionResponse& response) {
  ASSERT_TRUE(AwaitState([this] { return state_->stream != nullptr; })) << "no worker connected";
  absl::MutexLock lock(&state_->mutex);
  state_->stream->Write(response);
}

void GatewayServer::Acknowledge(int64_t sequence) {
  {
    absl::MutexLock lock(&state_->mutex);
    state_->taken_in = sequence;
  }
  v1::SessionResponse response;
  response.set_acknowledged(sequence);
  Send(response);
}

std::vector<v1::SessionRequest> GatewayServer::Frames() {
  absl::MutexLock lock(&state_->mutex);
  return state_->frames;
}

std::vector<v1::WorkerHello> GatewayServer::Hellos() {
  absl::MutexLock lock(&state_->mutex);
  return state_->hellos;
}

int GatewayServer::Heartbeats() {
  absl::MutexLock lock(&state_->mutex);
  return state_->heartbeats;
}

template <typename Condition>
bool GatewayServer::AwaitState(const Condition& condition) {
  absl::MutexLock lock(&state_->mutex);
  return state_->mutex.AwaitWithTimeout(absl::Condition(&condition), kPatience);
}

bool GatewayServer::Await(
    const std::function<bool(const std::vector<v1::SessionRequest>&)>& condition) {
  return AwaitState([&] { return condition(state_->frames); });
}

bool GatewayServer::AwaitHellos(size_t count) {
  return AwaitState([&] { return state_->hellos.size() >= count; });
}

bool GatewayServer::AwaitHeartbeats(int count) {
  return AwaitState([&] { return state_->heartbeats >= count; });
}

v1::SessionRequest GatewayServer::AwaitFrame(
    const std::function<bool(const v1::SessionRequest&)>& fits) {
  v1::SessionRequest found;
  const bool came = Await([&](const std::vector<v1::SessionRequest>& frames) {
    for (const v1::SessionRequest& frame : frames) {
      if (!fits(frame)) continue;
      found = frame;
      return true;
    }
    return false;
  });
  EXPECT_TRUE(came) << "the frame did not come";
  return found;
}

std::string GatewayServer::AddArtifact(const std::string& content) {
  const std::string sha256 = Sha256Hex(content);
  ServeInstead(sha256, content);
  return sha256;
}

void GatewayServer::ServeInstead(const std::string& sha256, const std::string& content) {
  absl::MutexLock lock(&state_->mutex);
  state_->files[sha256] = content;
}

std::string GatewayServer::Artifact(const std::string& sha256) {
  absl::MutexLock lock(&state_->mutex);
  return state_->files[sha256];
}

int GatewayServer::Downloads() {
  absl::MutexLock lock(&state_->mutex);
  return state_->downloads;
}

void GatewayServer::FailNextTransfers(int count, grpc::StatusCode code) {
  absl::MutexLock lock(&state_->mutex);
  state_->failures_left = count;
  state_->failure = code;
}

}  // namespace dropbp::agent
