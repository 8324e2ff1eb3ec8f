// absl::Status <-> grpc::Status with google.rpc details.
#pragma once

#include <grpcpp/support/status.h>

#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/base/status.h"
#include "core/job/job_fields.h"

namespace dropbp {

// Attaches google.rpc.ErrorInfo with a reason (UPPER_SNAKE) and metadata to a status; travels as an
// absl payload.
using ErrorMetadata = std::map<std::string, std::string>;
absl::Status WithReason(absl::Status status, std::string_view reason,
                        const ErrorMetadata& metadata = {});
std::string ReasonOf(const absl::Status& status);
ErrorMetadata MetadataOf(const absl::Status& status);

// INVALID_ARGUMENT, reason INVALID_JOB, that carries every violation.
absl::Status InvalidFields(absl::Span<const FieldViolation> violations);
std::vector<FieldViolation> ViolationsOf(const absl::Status& status);

// To the wire: google.rpc.Status with ErrorInfo {reason, domain "dropbp"} and BadRequest where
// there are violations.
grpc::Status ToGrpcStatus(const absl::Status& status);
// From the wire, details kept.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace dropbp
