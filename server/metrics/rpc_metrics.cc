#include "server/metrics/rpc_metrics.h"

#include <chrono>
#include <string>

namespace dropbp::server {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

const prometheus::Histogram::BucketBoundaries kSeconds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

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

struct Families {
  prometheus::Family<prometheus::Counter>& calls;
  prometheus::Family<prometheus::Histogram>& seconds;
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
      families_.calls.Add({{"method", method_}, {"code", CodeName(code)}}).Increment();
      families_.seconds.Add({{"method", method_}}, kSeconds).Observe(took.count());
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
    // "/dropbp.v1.JobService/GetJob" without the leading slash.
    return new CallWatch(families_, info->method() + 1);
  }

 private:
  const Families families_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeRpcMetrics(
    prometheus::Registry& registry) {
  return std::make_unique<Factory>(
      Families{prometheus::BuildCounter()
                   .Name("dropbp_rpc_total")
                   .Help("RPCs answered, by method and status code.")
                   .Register(registry),
               prometheus::BuildHistogram()
                   .Name("dropbp_rpc_duration_seconds")
                   .Help("Time from the arrival of an RPC to its status; streams last long.")
                   .Register(registry)});
}

}  // namespace dropbp::server
