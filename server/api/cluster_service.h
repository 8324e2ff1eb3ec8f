// ClusterService: the workers that the coordinator knows.
#pragma once

#include <grpcpp/grpcpp.h>

#include "dropbp/v1/cluster_service.grpc.pb.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

// Thread-safe. The coordinator outlives it.
class ClusterServiceImpl : public v1::ClusterService::CallbackService {
 public:
  explicit ClusterServiceImpl(Coordinator& coordinator) : coordinator_(coordinator) {}

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const v1::ListWorkersRequest*,
                                        v1::ListWorkersResponse* response) override {
    for (v1::Worker& worker : coordinator_.ListWorkers()) {
      *response->add_workers() = std::move(worker);
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  Coordinator& coordinator_;
};

}  // namespace dropbp::server
