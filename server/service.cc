#include "server/service.h"

#include <prometheus/text_serializer.h>

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/files.h"
#include "core/security/address.h"
#include "server/metrics/rpc_metrics.h"

namespace dropbp::server {
namespace {

constexpr absl::Duration kTickInterval = absl::Milliseconds(200);
// For calls under way, which take milliseconds. It is mostly spent whole: gRPC waits for its
// connections to close as well, and an idle client looks at its own only every few seconds.
constexpr absl::Duration kStopGrace = absl::Seconds(1);

CoordinatorOptions OptionsOf(const CoordinatorConfig& config, CoordinatorObserver& observer) {
  CoordinatorOptions options;
  options.lease = absl::Seconds(config.lease_seconds);
  options.heartbeat = absl::Seconds(config.heartbeat_seconds);
  options.stall_min = absl::Seconds(config.stall_seconds);
  options.stall_factor = config.stall_factor;
  options.start_timeout = absl::Seconds(config.start_timeout_seconds);
  options.block_steps = config.plan_block_steps;
  options.observer = &observer;
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Service>> Service::Start(const CoordinatorConfig& config) {
  std::unique_ptr<Service> service(new Service);
  RETURN_IF_ERROR(CheckTlsFiles(config.tls, absl::Now()));
  RETURN_IF_ERROR(service->OpenData(config));
  if (!config.metrics_listen.empty()) RETURN_IF_ERROR(service->ServeHttp(config));
  ASSIGN_OR_RETURN(service->api_,
                   ApiServer::Start({.listen = config.listen,
                                     .tls = config.tls,
                                     .reflection = config.reflection,
                                     .interceptor = MakeRpcMetrics(*service->registry_)},
                                    *service->coordinator_, *service->artifacts_, *service->logs_));
  service->ticker_ = std::thread([raw = service.get()] { raw->TickUntilStopped(); });
  if (!config.port_file.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(config.port_file, service->address()));
  }
  return service;
}

absl::Status Service::OpenData(const CoordinatorConfig& config) {
  const std::string& folder = config.data_dir;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("data_dir ", folder));
  ASSIGN_OR_RETURN(artifacts_, ArtifactStore::Open(absl::StrCat(folder, "/artifacts"),
                                                   config.artifact_limit_bytes));
  logs_ = std::make_unique<LogStore>(absl::StrCat(folder, "/logs"), config.log_limit_bytes);
  ASSIGN_OR_RETURN(std::unique_ptr<JobStore> store,
                   JobStore::Open(absl::StrCat(folder, "/jobs.db")));
  ASSIGN_OR_RETURN(coordinator_, Coordinator::Open(OptionsOf(config, events_), std::move(store),
                                                   *artifacts_, *logs_, SystemClock()));
  return absl::OkStatus();
}

absl::Status Service::ServeHttp(const CoordinatorConfig& config) {
  const std::string& listen = config.metrics_listen;
  metrics_ = std::make_unique<CoordinatorMetrics>(*coordinator_, events_, config.data_dir,
                                                  config.tls.cert);
  pages_ = std::make_unique<WebPages>(WebOptions{.any_host = !IsLoopbackAddress(listen),
                                                 .metrics = [this] { return MetricsText(); }},
                                      *coordinator_);
  ASSIGN_OR_RETURN(http_, HttpServer::Start(listen, [this](const HttpRequest& request) {
                     return pages_->Answer(request);
                   }));
  return absl::OkStatus();
}

std::string Service::MetricsText() const {
  std::vector<prometheus::MetricFamily> families = registry_->Collect();
  for (prometheus::MetricFamily& family : metrics_->Collect()) {
    families.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

std::string Service::page_url() const {
  return http_ == nullptr ? "" : absl::StrCat("http://", http_->address(), "/");
}

void Service::TickUntilStopped() {
  while (!stop_.WaitForNotificationWithTimeout(kTickInterval)) coordinator_->Tick();
}

Service::~Service() {
  stop_.Notify();
  if (ticker_.joinable()) ticker_.join();
  http_.reset();
  if (coordinator_) coordinator_->Shutdown();
  if (api_) api_->Stop(kStopGrace);
}

}  // namespace dropbp::server
