// The stream of WatchJob.
#pragma once

#include <grpcpp/grpcpp.h>

#include "dropbp/v1/jobs_service.pb.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

// Starts the stream; it owns itself until its end.
grpc::ServerWriteReactor<v1::JobEvent>* StartWatch(Coordinator& coordinator,
                                                   const v1::WatchJobRequest& request);

}  // namespace dropbp::server
