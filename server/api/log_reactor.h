// The stream of ReadJobLogs.
#pragma once

#include <grpcpp/grpcpp.h>

#include "dropbp/v1/jobs_service.pb.h"
#include "server/logs/log_store.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

// Starts the stream; it owns itself until its end.
grpc::ServerWriteReactor<v1::ReadJobLogsResponse>* StartReadLogs(
    Coordinator& coordinator, const LogStore& logs, const v1::ReadJobLogsRequest& request);

}  // namespace dropbp::server
