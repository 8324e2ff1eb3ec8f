#include "server/plan/job_planner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/plan/allocate.h"
#include "core/plan/sensitivity.h"
#include "proto/support/grpc_status.h"
#include "proto/support/job_spec_proto.h"

namespace dropbp::server {
namespace {

constexpr int64_t kBlockSteps = 1024;
// Far enough below gRPC's message limit of 4 MiB.
constexpr int64_t kBlockBytes = 1 << 20;

std::vector<int64_t> CostsOf(const LayerTable& table) {
  std::vector<int64_t> costs;
  for (const Unit& unit : table.units) costs.push_back(unit.backward_flops);
  return costs;
}

double MaxUnitRate(const JobSpec& spec) {
  const DropbpSpec& dropbp = spec.dropbp;
  return dropbp.max_unit_rate > 0 ? dropbp.max_unit_rate : DefaultMaxUnitRate(dropbp.drop_rate);
}

int64_t StepsPerBlock(const MaskPlan& masks) {
  const int64_t row_bytes = (static_cast<int64_t>(masks.plan().keep_rates.size()) + 7) / 8;
  return std::clamp<int64_t>(kBlockBytes / std::max<int64_t>(1, masks.rows() * row_bytes), 1,
                             kBlockSteps);
}

absl::Status Differ(std::string_view what, int rank, uint64_t theirs, uint64_t ours) {
  return WithReason(absl::FailedPreconditionError(absl::StrFormat(
                        "%s differs: rank %d has hash %016x, the coordinator has %016x", what, rank,
                        theirs, ours)),
                    "PLAN_MISMATCH");
}

absl::Status Compare(int rank, const v1::PlanDigest& theirs, const DropPlan& ours) {
  const bool same_rates = std::equal(ours.keep_rates.begin(), ours.keep_rates.end(),
                                     theirs.keep_rates().begin(), theirs.keep_rates().end());
  if (same_rates && theirs.hash() == PlanHash(ours)) return absl::OkStatus();
  absl::Status status = Differ(absl::StrCat("plan version ", ours.version, " (first step ",
                                            theirs.first_step(), " and ", ours.first_step, ")"),
                               rank, theirs.hash(), PlanHash(ours));
  if (same_rates) return status;
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        status.message(),
                        "; keep rates in units of 2^-24: ", absl::StrJoin(theirs.keep_rates(), " "),
                        " and ", absl::StrJoin(ours.keep_rates, " "))),
                    "PLAN_MISMATCH");
}

}  // namespace

absl::StatusOr<JobPlanner> JobPlanner::Make(const JobSpec& spec, const v1::ModelShape& shape,
                                            const v1::DatasetReport& data) {
  JobPlanner planner;
  planner.spec_ = spec;
  ASSIGN_OR_RETURN(planner.table_,
                   BuildLayerTable(ModelShapeFromProto(shape), spec, spec.dataset.max_length));
  if (data.tokens() > 0) {
    planner.supervised_share_ =
        static_cast<double>(data.supervised_tokens()) / static_cast<double>(data.tokens());
  }
  planner.total_steps_ = TotalSteps(spec, data.samples());
  planner.probe_step_ = ProbeStep(spec, planner.total_steps_);
  const std::vector<int64_t> costs = CostsOf(planner.table_);
  ASSIGN_OR_RETURN(
      const std::vector<double> rates,
      AllocateDropRates(Allocator::kUniform, costs, std::vector<double>(costs.size(), 0.0),
                        spec.dropbp.drop_rate, MaxUnitRate(spec)));
  ASSIGN_OR_RETURN(DropPlan plan, MakeDropPlan(planner.table_, rates, spec.dropbp.drop_rate, 1, 0));
  planner.plans_.emplace_back(std::move(plan), static_cast<uint64_t>(spec.training.seed),
                              MaskRows(spec));
  return planner;
}

v1::DropPlan JobPlanner::Describe() const {
  const DropPlan& plan = plans_.back().plan();
  v1::DropPlan message;
  message.set_version(plan.version);
  message.set_first_step(plan.first_step);
  message.set_target_drop_rate(plan.target);
  message.set_planned_drop_rate(plan.planned);
  message.set_speed_limit(SpeedLimit(table_, plan, supervised_share_));
  message.set_allocation(plan.version == 1 ? "uniform" : spec_.dropbp.allocation);
  message.set_masks(ResolvedMasks(spec_));
  message.set_rows(plans_.back().rows());
  for (size_t i = 0; i < table_.units.size(); ++i) {
    v1::UnitPlan* unit = message.add_units();
    unit->set_layer(static_cast<int32_t>(table_.units[i].layer));
    unit->set_kind(static_cast<v1::UnitPlan::Kind>(table_.units[i].kind));
    unit->set_backward_flops(table_.units[i].backward_flops);
    unit->set_drop_rate(plan.DropRate(i));
    if (!sensitivities_.empty()) unit->set_sensitivity(sensitivities_[i]);
  }
  return message;
}

absl::StatusOr<bool> JobPlanner::AddProbe(const v1::ProbeReport& report) {
  if (plans_.size() > 1 || probe_step_ < 0) return false;
  if (base_norms_.empty())
    base_norms_.assign(report.base_norms().begin(), report.base_norms().end());
  for (const v1::UnitNorms& unit : report.units()) {
    if (unit.unit() < 0 || unit.unit() >= units()) {
      return absl::InvalidArgumentError(
          absl::StrCat("probe of unit ", unit.unit(), ", the model has units 0 to ", units() - 1));
    }
    unit_norms_[unit.unit()].assign(unit.norms().begin(), unit.norms().end());
  }
  if (static_cast<int>(unit_norms_.size()) < units()) return false;
  RETURN_IF_ERROR(MakeSecondPlan());
  return true;
}

absl::Status JobPlanner::MakeSecondPlan() {
  sensitivities_.clear();
  for (const auto& [unit, norms] : unit_norms_) {
    absl::StatusOr<double> sensitivity = GradNormVar(base_norms_, norms);
    if (!sensitivity.ok()) {
      return Annotate(sensitivity.status(), absl::StrCat("sensitivity probe of unit ", unit));
    }
    sensitivities_.push_back(*sensitivity);
  }
  ASSIGN_OR_RETURN(const Allocator allocator, ParseAllocator(spec_.dropbp.allocation));
  ASSIGN_OR_RETURN(const std::vector<double> rates,
                   AllocateDropRates(allocator, CostsOf(table_), sensitivities_,
                                     spec_.dropbp.drop_rate, MaxUnitRate(spec_)));
  ASSIGN_OR_RETURN(DropPlan plan,
                   MakeDropPlan(table_, rates, spec_.dropbp.drop_rate, 2, probe_step_));
  for (const auto& [rank, digest] : early_digests_) {
    RETURN_IF_ERROR(Compare(rank, digest, plan));
  }
  plans_.emplace_back(std::move(plan), static_cast<uint64_t>(spec_.training.seed),
                      plans_.front().rows());
  return absl::OkStatus();
}

absl::Status JobPlanner::CheckDigest(int rank, const v1::PlanDigest& digest) {
  if (const MaskPlan* masks = PlanOfVersion(digest.plan_version())) {
    return Compare(rank, digest, masks->plan());
  }
  early_digests_[rank] = digest;
  return absl::OkStatus();
}

absl::Status JobPlanner::CheckMasks(int rank, const v1::StepReport& report) {
  const MaskPlan* masks = PlanOfStep(report.step());
  if (masks == nullptr || report.mask_hash() == 0) return absl::OkStatus();
  if (hashed_step_ != report.step()) {
    step_hash_ = MaskHash(masks->Draw(report.step()));
    hashed_step_ = report.step();
  }
  if (step_hash_ == report.mask_hash()) return absl::OkStatus();
  return Differ(absl::StrCat("the mask of step ", report.step()), rank, report.mask_hash(),
                step_hash_);
}

const MaskPlan* JobPlanner::PlanOfVersion(int version) const {
  if (version < 1 || version > static_cast<int>(plans_.size())) return nullptr;
  return &plans_[static_cast<size_t>(version) - 1];
}

const MaskPlan* JobPlanner::PlanOfStep(int64_t step) const {
  return PlanOfVersion(probe_step_ >= 0 && step >= probe_step_ ? 2 : 1);
}

int64_t JobPlanner::EndOf(const MaskPlan& masks) const {
  return masks.plan().version == 1 && probe_step_ >= 0 ? probe_step_ : total_steps_;
}

std::optional<v1::MaskBlock> JobPlanner::BlockAt(int64_t step) {
  const MaskPlan* masks = PlanOfStep(step);
  if (masks == nullptr || step >= total_steps_) return std::nullopt;
  if (drawn_block_ && drawn_block_->plan_version() == masks->plan().version &&
      drawn_block_->first_step() == step) {
    return drawn_block_;
  }
  const int64_t length = StepsPerBlock(*masks);
  const int64_t begin = masks->plan().first_step;
  const int64_t next_border = begin + ((step - begin) / length + 1) * length;
  const int64_t end = std::min(next_border, EndOf(*masks));
  drawn_block_ = MaskBlockToProto(DrawMaskBlock(*masks, step, static_cast<int32_t>(end - step)));
  return drawn_block_;
}

}  // namespace dropbp::server
