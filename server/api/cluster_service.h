// ClusterService: the workers that the coordinator knows.
#pragma once

#include <grpcpp/grpcpp.h>

#include "dropbp/v1/cluster_service.grpc.pb.h"
#include "server/api/gate.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

// Thread-safe. Its arguments outlive it.
class ClusterServiceImpl : public v1::ClusterService::CallbackService {
 public:
  ClusterServiceImpl(const Gate& gate, Coordinator& coordinator)
      : gate_(gate), coordinator_(coordinator) {}

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const v1::ListWorkersRequest*,
                                        v1::ListWorkersResponse* response) override {
    return gate_.Unary(context, "dropbp.v1.ClusterService/ListWorkers", response, [&] {
      v1::ListWorkersResponse found;
      for (v1::Worker& worker : coordinator_.ListWorkers())
        *found.add_workers() = std::move(worker);
      return absl::StatusOr<v1::ListWorkersResponse>(std::move(found));
    });
  }

  grpc::ServerUnaryReactor* DrainWorker(grpc::CallbackServerContext* context,
                                        const v1::DrainWorkerRequest* request,
                                        v1::Worker* worker) override {
    return gate_.Unary(context, "dropbp.v1.ClusterService/DrainWorker", worker,
                       [&] { return coordinator_.DrainWorker(*request); });
  }

 private:
  const Gate& gate_;
  Coordinator& coordinator_;
};

}  // namespace dropbp::server
