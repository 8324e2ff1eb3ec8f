#include "server/metrics/rpc_metrics.h"

#include <google/protobuf/descriptor.h>

#include <chrono>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/metrics/coordinator_table.h"

namespace dropbp::server {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

const char* CodeName(grpc::StatusCode code) {
  static constexpr const char* kNames[] = {"OK",
                                           "CANCELLED",
                                           "UNKNOWN",
                                           "INVALID_ARGUMENT",
                                           "DEADLINE_EXCEEDED",
                                           "NOT_FOUND",
                                           "ALREADY_EXISTS",
                                           "PERMISSION_DENIED",
                                           "RESOURCE_EXHAUSTED",
                                           "FAILED_PRECONDITION",
                                           "ABORTED",
                                           "OUT_OF_RANGE",
                                           "UNIMPLEMENTED",
                                           "INTERNAL",
                                           "UNAVAILABLE",
                                           "DATA_LOSS",
                                           "UNAUTHENTICATED"};
  return code >= 0 && code < static_cast<int>(std::size(kNames)) ? kNames[code] : "UNKNOWN";
}

// "dropbp.v1.JobService/GetJob". Callers may ask for methods of any name; what nobody serves is
// "other", so that they cannot make series.
std::string MethodLabel(std::string method) {
  if (!method.empty() && method[0] == '/') method.erase(0, 1);
  if (method == "grpc.health.v1.Health/Check" || method == "grpc.health.v1.Health/Watch") {
    return method;
  }
  const std::string name = absl::StrReplaceAll(method, {{"/", "."}});
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  return pool->FindMethodByName(name) == nullptr ? "other" : method;
}

struct Families {
  prometheus::Family<prometheus::Counter>& calls;
  prometheus::Family<prometheus::Histogram>& seconds;
  const std::vector<double>& buckets;

  prometheus::Counter& Calls(const std::string& method, grpc::StatusCode code) const {
    return calls.Add({{"method", method}, {"code", CodeName(code)}});
  }
  prometheus::Histogram& Seconds(const std::string& method) const {
    return seconds.Add({{"method", method}}, buckets);
  }

  // A series that appears with its first call shows no rise: that call would be missing in every
  // rate. So all methods begin at zero.
  void BeginAtZero() const {
    const auto* pool = google::protobuf::DescriptorPool::generated_pool();
    for (const char* name : {"dropbp.v1.JobService", "dropbp.v1.ArtifactService",
                             "dropbp.v1.ClusterService", "dropbp.v1.WorkerGatewayService"}) {
      const google::protobuf::ServiceDescriptor* service = pool->FindServiceByName(name);
      for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
        const std::string method = absl::StrCat(name, "/", service->method(i)->name());
        Calls(method, grpc::StatusCode::OK);
        Seconds(method);
      }
    }
  }
};

// Watches one call until its status is sent.
class CallWatch : public grpc::experimental::Interceptor {
 public:
  CallWatch(const Families& families, std::string method)
      : families_(families), method_(std::move(method)) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
      const grpc::StatusCode code = methods->GetSendStatus().error_code();
      families_.Calls(method_, code).Increment();
      families_.Seconds(method_).Observe(took.count());
    }
    methods->Proceed();
  }

 private:
  const Families families_;
  const std::string method_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(const Families& families) : families_(families) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new CallWatch(families_, MethodLabel(info->method()));
  }

 private:
  const Families families_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeRpcMetrics(
    prometheus::Registry& registry) {
  const MetricInfo& calls = FindMetric(CoordinatorTable(), "dropbp_rpc_total");
  const MetricInfo& seconds = FindMetric(CoordinatorTable(), "dropbp_rpc_duration_seconds");
  const Families families{
      prometheus::BuildCounter().Name(calls.name).Help(calls.help).Register(registry),
      prometheus::BuildHistogram().Name(seconds.name).Help(seconds.help).Register(registry),
      seconds.buckets};
  families.BeginAtZero();
  return std::make_unique<Factory>(families);
}

}  // namespace dropbp::server
