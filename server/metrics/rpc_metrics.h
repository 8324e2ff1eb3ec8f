// Counts and times of all RPCs, by method and status code.
#pragma once

#include <grpcpp/support/server_interceptor.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>

namespace dropbp::server {

// dropbp_rpc_total {method, code} and dropbp_rpc_duration_seconds {method}. `registry` outlives the
// server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeRpcMetrics(
    prometheus::Registry& registry);

}  // namespace dropbp::server
