// WorkerGatewayService: one two-way stream for each agent.
#pragma once

#include <grpcpp/grpcpp.h>

#include "dropbp/v1/worker_gateway.grpc.pb.h"
#include "server/api/gate.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

// Thread-safe. Its arguments outlive it.
class GatewayServiceImpl : public v1::WorkerGatewayService::CallbackService {
 public:
  GatewayServiceImpl(const Gate& gate, Coordinator& coordinator)
      : gate_(gate), coordinator_(coordinator) {}

  grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>* Session(
      grpc::CallbackServerContext* context) override;

 private:
  const Gate& gate_;
  Coordinator& coordinator_;
};

}  // namespace dropbp::server
