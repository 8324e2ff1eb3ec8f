// The plain structs of coordinator_link.h <-> the messages of trainer_link.proto.
#pragma once

#include "dropbp/v1/trainer_link.pb.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

Assignment AssignmentFromProto(const v1::Assignment& proto);

v1::StepReport StepReportToProto(const StepReport& report);
v1::ProbeReport ProbeReportToProto(const ProbeReport& report);
v1::Evaluation EvaluationReportToProto(const EvaluationReport& report);
v1::PlanDigest PlanDigestOf(const DropPlan& plan);
v1::TrainerCheckpoint CheckpointReportToProto(const CheckpointReport& report);
// `message` may hold any bytes; what is not UTF-8 is replaced.
v1::TrainerFailure FailureToProto(FailureKind kind, const std::string& message);

}  // namespace dropbp::trainer
