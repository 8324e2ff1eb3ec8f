#include "server/plan/job_planner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/job/job_fields.h"
#include "core/plan/sensitivity.h"
#include "proto/support/grpc_status.h"
#include "proto/support/job_spec_proto.h"
#include "server/plan/describe_plan.h"

namespace dropbp::server {
namespace {

// Far enough below gRPC's message limit of 4 MiB.
constexpr int64_t kBlockBytes = 1 << 20;
constexpr size_t kMostEarlyMasks = size_t{1} << 16;

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
                                            const v1::DatasetReport& data, int64_t block_steps) {
  JobPlanner planner;
  planner.spec_ = spec;
  planner.block_steps_ = block_steps;
  ASSIGN_OR_RETURN(planner.table_,
                   BuildLayerTable(ModelShapeFromProto(shape), spec, spec.dataset.max_length));
  if (data.tokens() > 0) {
    planner.supervised_share_ =
        static_cast<double>(data.supervised_tokens()) / static_cast<double>(data.tokens());
  }
  planner.total_steps_ = TotalSteps(spec, spec.dataset.packing ? data.rows() : data.samples());
  if (const auto probes = CheckProbes(spec, planner.total_steps_)) {
    return absl::InvalidArgumentError(DescribeViolations({*probes}));
  }
  planner.stages_ = PlanStages(spec, planner.total_steps_);
  RETURN_IF_ERROR(planner.MakePlans(/*probed=*/false));
  return planner;
}

bool JobPlanner::ProbesBefore(int64_t step) const {
  return std::any_of(stages_.begin(), stages_.end(), [step](const PlanStage& stage) {
    return stage.probe && stage.first_step == step;
  });
}

void JobPlanner::Advance(int64_t next_step) { next_step_ = std::max(next_step_, next_step); }

const MaskPlan& JobPlanner::InForce() const {
  const MaskPlan* newest = &plans_.front();
  for (const MaskPlan& masks : plans_) {
    if (masks.plan().first_step <= next_step_) newest = &masks;
  }
  return *newest;
}

v1::DropPlan JobPlanner::Describe() const {
  const DropPlan& plan = InForce().plan();
  v1::DropPlan message = DescribePlan(spec_, table_, plan, supervised_share_);
  DescribeStages(message);
  if (!latest_) return message;
  message.set_allocation(spec_.dropbp.allocation);
  message.set_probe_step(latest_->step());
  message.set_probe_seconds(latest_->seconds());
  for (int unit = 0; unit < message.units_size(); ++unit)
    message.mutable_units(unit)->set_sensitivity(latest_->values(unit));
  return message;
}

void JobPlanner::DescribeStages(v1::DropPlan& message) const {
  // Bounded, because lists of jobs carry it.
  constexpr size_t kMostStages = 64;
  message.set_stage_count(static_cast<int32_t>(stages_.size()));
  const size_t begin =
      stages_.size() <= kMostStages ? 0 : static_cast<size_t>(message.version()) - 1;
  const size_t end = std::min(stages_.size(), begin + kMostStages);
  for (size_t i = begin; i < end; ++i) {
    v1::PlanStage* stage = message.add_stages();
    stage->set_version(stages_[i].version);
    stage->set_first_step(stages_[i].first_step);
    stage->set_target_drop_rate(stages_[i].target);
    stage->set_probe(stages_[i].probe);
    if (i < plans_.size()) stage->set_planned_drop_rate(plans_[i].plan().planned);
  }
}

absl::StatusOr<size_t> JobPlanner::StageOfProbe(int64_t step) const {
  for (size_t i = 0; i < stages_.size(); ++i) {
    if (stages_[i].probe && stages_[i].first_step == step) return i;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("probe before step ", step, ": no plan of this job begins there with a probe"));
}

absl::StatusOr<v1::Sensitivities> JobPlanner::Measure(const v1::ProbeReport& report) const {
  const std::vector<double> base(report.base_norms().begin(), report.base_norms().end());
  std::map<int, double> measured;
  for (const v1::UnitNorms& unit : report.units()) {
    if (unit.unit() < 0 || unit.unit() >= units()) {
      return absl::InvalidArgumentError(
          absl::StrCat("probe of unit ", unit.unit(), ", the model has units 0 to ", units() - 1));
    }
    const std::vector<double> norms(unit.norms().begin(), unit.norms().end());
    const absl::StatusOr<double> sensitivity = GradNormVar(base, norms);
    if (!sensitivity.ok()) {
      return Annotate(sensitivity.status(),
                      absl::StrCat("sensitivity probe of unit ", unit.unit()));
    }
    measured[unit.unit()] = *sensitivity;
  }
  if (static_cast<int>(measured.size()) < units()) {
    return absl::InvalidArgumentError(absl::StrCat("probe before step ", report.step(), ": found ",
                                                   measured.size(), " units, legal is all ",
                                                   units()));
  }
  v1::Sensitivities found;
  found.set_step(report.step());
  found.set_seconds(report.seconds());
  for (const auto& [unit, sensitivity] : measured) found.add_values(sensitivity);
  return found;
}

absl::StatusOr<std::optional<v1::Sensitivities>> JobPlanner::AddProbe(
    const v1::ProbeReport& report) {
  ASSIGN_OR_RETURN(const size_t stage, StageOfProbe(report.step()));
  if (stage < plans_.size()) return std::optional<v1::Sensitivities>();
  ASSIGN_OR_RETURN(v1::Sensitivities found, Measure(report));
  RETURN_IF_ERROR(AddSensitivities(found).status());
  return std::optional<v1::Sensitivities>(std::move(found));
}

absl::StatusOr<bool> JobPlanner::AddSensitivities(const v1::Sensitivities& sensitivities) {
  ASSIGN_OR_RETURN(const size_t stage, StageOfProbe(sensitivities.step()));
  if (stage < plans_.size()) return false;
  if (stage > plans_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("probe before step ", sensitivities.step(), ": the probe before step ",
                     stages_[plans_.size()].first_step, " is missing"));
  }
  if (sensitivities.values_size() != units()) {
    return absl::InvalidArgumentError(absl::StrCat("probe before step ", sensitivities.step(),
                                                   ": found ", sensitivities.values_size(),
                                                   " sensitivities, legal are ", units()));
  }
  latest_ = sensitivities;
  RETURN_IF_ERROR(MakePlans(/*probed=*/true));
  Advance(sensitivities.step());
  return true;
}

absl::Status JobPlanner::MakePlans(bool probed) {
  std::vector<double> values;
  if (latest_) values.assign(latest_->values().begin(), latest_->values().end());
  for (; plans_.size() < stages_.size(); probed = false) {
    const PlanStage& stage = stages_[plans_.size()];
    if (stage.probe && !probed) break;
    ASSIGN_OR_RETURN(DropPlan plan, MakeStagePlan(table_, spec_, stage, values));
    plans_.emplace_back(std::move(plan), static_cast<uint64_t>(spec_.training.seed),
                        MaskRows(spec_));
    RETURN_IF_ERROR(CompareEarly());
  }
  return absl::OkStatus();
}

absl::Status JobPlanner::CompareEarly() {
  const MaskPlan& masks = plans_.back();
  const int version = masks.plan().version;
  const auto begin = early_digests_.lower_bound({version, 0});
  const auto end = early_digests_.lower_bound({version + 1, 0});
  for (auto it = begin; it != end; ++it)
    RETURN_IF_ERROR(Compare(it->first.second, it->second, masks.plan()));
  early_digests_.erase(begin, end);
  const auto first = early_masks_.lower_bound({masks.plan().first_step, 0});
  const auto last = early_masks_.lower_bound({EndOf(masks), 0});
  for (auto it = first; it != last; ++it)
    RETURN_IF_ERROR(CompareMasks(masks, it->first.first, it->first.second, it->second));
  early_masks_.erase(first, last);
  return absl::OkStatus();
}

absl::Status JobPlanner::CheckDigest(int rank, const v1::PlanDigest& digest) {
  if (const MaskPlan* masks = PlanOfVersion(digest.plan_version())) {
    return Compare(rank, digest, masks->plan());
  }
  early_digests_[{digest.plan_version(), rank}] = digest;
  return absl::OkStatus();
}

absl::Status JobPlanner::CheckMasks(int rank, const v1::StepReport& report) {
  if (report.mask_hash() == 0) return absl::OkStatus();
  if (const MaskPlan* masks = PlanOfStep(report.step())) {
    return CompareMasks(*masks, report.step(), rank, report.mask_hash());
  }
  // The probe that the plan follows from is still under way, through another worker's session.
  if (early_masks_.size() < kMostEarlyMasks) {
    early_masks_[{report.step(), rank}] = report.mask_hash();
  }
  return absl::OkStatus();
}

absl::Status JobPlanner::CompareMasks(const MaskPlan& masks, int64_t step, int rank,
                                      uint64_t theirs) {
  if (hashed_step_ != step) {
    step_hash_ = MaskHash(masks.Draw(step));
    hashed_step_ = step;
  }
  if (step_hash_ == theirs) return absl::OkStatus();
  return Differ(absl::StrCat("the mask of step ", step), rank, theirs, step_hash_);
}

const MaskPlan* JobPlanner::PlanOfVersion(int version) const {
  if (version < 1 || version > static_cast<int>(plans_.size())) return nullptr;
  return &plans_[static_cast<size_t>(version) - 1];
}

const MaskPlan* JobPlanner::PlanOfStep(int64_t step) const {
  // The last stage that begins at or before it: two begin at step 0 when a probe runs before that.
  const auto after = std::upper_bound(
      stages_.begin(), stages_.end(), step,
      [](int64_t wanted, const PlanStage& stage) { return wanted < stage.first_step; });
  return after == stages_.begin() ? nullptr : PlanOfVersion(std::prev(after)->version);
}

int64_t JobPlanner::EndOf(const MaskPlan& masks) const {
  const size_t next = static_cast<size_t>(masks.plan().version);
  return next < stages_.size() ? stages_[next].first_step : total_steps_;
}

int64_t JobPlanner::StepsPerBlock(const MaskPlan& masks) const {
  const int64_t row_bytes = (static_cast<int64_t>(masks.plan().keep_rates.size()) + 7) / 8;
  return std::clamp<int64_t>(kBlockBytes / std::max<int64_t>(1, masks.rows() * row_bytes), 1,
                             block_steps_);
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
