// WorkerGatewayService: one two-way stream for each agent.
#pragma once

#include <grpcpp/grpcpp.h>

#include "dropbp/v1/worker_gateway.grpc.pb.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

// Thread-safe. The coordinator outlives it.
class GatewayServiceImpl : public v1::WorkerGatewayService::CallbackService {
 public:
  explicit GatewayServiceImpl(Coordinator& coordinator) : coordinator_(coordinator) {}

  grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>* Session(
      grpc::CallbackServerContext* context) override;

 private:
  Coordinator& coordinator_;
};

}  // namespace dropbp::server
