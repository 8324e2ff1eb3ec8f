#include "server/service.h"

#include <prometheus/histogram.h>

#include <exception>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/files.h"
#include "server/metrics/rpc_metrics.h"

namespace dropbp::server {
namespace {

constexpr absl::Duration kTickInterval = absl::Milliseconds(200);
constexpr absl::Duration kStopGrace = absl::Seconds(5);

CoordinatorOptions OptionsOf(const CoordinatorConfig& config, prometheus::Registry& registry) {
  prometheus::Histogram& queue_wait = prometheus::BuildHistogram()
                                          .Name("dropbp_queue_wait_seconds")
                                          .Help("Time from a job's creation to its first attempt.")
                                          .Register(registry)
                                          .Add({}, prometheus::Histogram::BucketBoundaries{
                                                       1, 5, 15, 60, 300, 900, 3600, 14400, 86400});
  CoordinatorOptions options;
  options.lease = absl::Seconds(config.lease_seconds);
  options.heartbeat = absl::Seconds(config.heartbeat_seconds);
  options.stall_min = absl::Seconds(config.stall_seconds);
  options.stall_factor = config.stall_factor;
  options.start_timeout = absl::Seconds(config.start_timeout_seconds);
  options.block_steps = config.plan_block_steps;
  options.on_queue_wait = [&queue_wait](absl::Duration wait) {
    queue_wait.Observe(absl::ToDoubleSeconds(wait));
  };
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Service>> Service::Start(const CoordinatorConfig& config) {
  std::unique_ptr<Service> service(new Service);
  RETURN_IF_ERROR(CheckTlsFiles(config.tls, absl::Now()));
  RETURN_IF_ERROR(service->OpenData(config));
  if (!config.metrics_listen.empty()) RETURN_IF_ERROR(service->ServeMetrics(config));
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
  ASSIGN_OR_RETURN(coordinator_, Coordinator::Open(OptionsOf(config, *registry_), std::move(store),
                                                   *artifacts_, *logs_, SystemClock()));
  return absl::OkStatus();
}

absl::Status Service::ServeMetrics(const CoordinatorConfig& config) {
  try {
    exposer_ = std::make_unique<prometheus::Exposer>(config.metrics_listen, 1);
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve metrics on ", config.metrics_listen, ": ", error.what()));
  }
  if (config.tls.given()) {
    certificate_ = std::make_shared<CertificateMetrics>(config.tls.cert);
    exposer_->RegisterCollectable(certificate_);
  }
  metrics_ = std::make_shared<CoordinatorMetrics>(*coordinator_);
  exposer_->RegisterCollectable(registry_);
  exposer_->RegisterCollectable(metrics_);
  return absl::OkStatus();
}

void Service::TickUntilStopped() {
  while (!stop_.WaitForNotificationWithTimeout(kTickInterval)) coordinator_->Tick();
}

Service::~Service() {
  stop_.Notify();
  if (ticker_.joinable()) ticker_.join();
  exposer_.reset();
  if (coordinator_) coordinator_->Shutdown();
  if (api_) api_->Stop(kStopGrace);
}

}  // namespace dropbp::server
