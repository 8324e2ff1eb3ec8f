// dropbp.v1 messages <-> the plain structs of core/, by the field table of core/job/job_fields.h.
#pragma once

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/drop_plan.h"
#include "core/plan/layer_table.h"
#include "core/plan/mask_plan.h"
#include "dropbp/v1/job_spec.pb.h"
#include "dropbp/v1/plan.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"

namespace dropbp {

// Fields that the message leaves out take their defaults.
JobSpec JobSpecFromProto(const v1::JobSpec& proto);
// Every field set.
v1::JobSpec JobSpecToProto(const JobSpec& spec);

v1::MaskBlock MaskBlockToProto(const MaskBlock& block);
MaskBlock MaskBlockFromProto(const v1::MaskBlock& proto);

v1::ModelShape ModelShapeToProto(const ModelShape& shape);
ModelShape ModelShapeFromProto(const v1::ModelShape& proto);

}  // namespace dropbp
