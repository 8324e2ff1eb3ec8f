#include "worker/trainer/train/plan_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace dropbp::trainer {

PlanKeeper::PlanKeeper(const JobSpec& spec, ProcessGroup* group, CoordinatorLink* link)
    : seed_(static_cast<uint64_t>(spec.training.seed)),
      rows_(MaskRows(spec)),
      group_(group),
      link_(link) {}

absl::Status PlanKeeper::Adopt(const DropPlan& plan) {
  RETURN_IF_ERROR(CompareRanks(plan));
  masks_.emplace(plan.version, MaskPlan(plan, seed_, rows_));
  link_->ReportPlan(plan);
  return absl::OkStatus();
}

absl::Status PlanKeeper::CompareRanks(const DropPlan& plan) {
  if (group_ == nullptr) return absl::OkStatus();
  const int64_t mine[] = {plan.version, plan.first_step, static_cast<int64_t>(PlanHash(plan))};
  ASSIGN_OR_RETURN(const auto all, group_->AllGather(absl::MakeConstSpan(mine)));
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (std::equal(all[rank].begin(), all[rank].end(), std::begin(mine))) continue;
    return absl::InternalError(absl::StrCat(
        "plans differ between ranks: rank ", group_->rank(), " has version ", mine[0],
        ", first step ", mine[1], ", hash ", absl::Hex(mine[2]), "; rank ", rank, " has version ",
        all[rank][0], ", first step ", all[rank][1], ", hash ", absl::Hex(all[rank][2])));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<MaskRow>> PlanKeeper::Rows(int64_t step) {
  RETURN_IF_ERROR(CheckArrivedBlocks());
  return MasksOf(step).Draw(step);
}

absl::Status PlanKeeper::CheckArrivedBlocks() {
  std::vector<MaskBlock> blocks = std::exchange(early_blocks_, {});
  for (MaskBlock& block : link_->TakeMaskBlocks()) blocks.push_back(std::move(block));
  for (MaskBlock& block : blocks) {
    if (masks_.contains(block.plan_version)) {
      RETURN_IF_ERROR(CheckBlock(block));
    } else {
      early_blocks_.push_back(std::move(block));
    }
  }
  return absl::OkStatus();
}

absl::Status PlanKeeper::CheckBlock(const MaskBlock& block) const {
  const std::string what =
      absl::StrCat("mask block of plan ", block.plan_version, ", steps ", block.first_step, " to ",
                   block.first_step + block.steps - 1);
  if (absl::Status status = VerifyMaskBlock(block); !status.ok()) {
    return absl::InternalError(absl::StrCat(what, ": ", status.message()));
  }
  const MaskBlock mine =
      DrawMaskBlock(masks_.at(block.plan_version), block.first_step, block.steps);
  if (mine.hash == block.hash && mine.bits == block.bits && mine.keep_rates == block.keep_rates) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat(
      what, ": the coordinator's masks have hash ", absl::Hex(block.hash), " (", block.rows,
      " rows), this rank's have ", absl::Hex(mine.hash), " (", mine.rows, " rows)"));
}

const MaskPlan& PlanKeeper::MasksOf(int64_t step) const {
  const MaskPlan* newest = nullptr;
  for (const auto& [version, masks] : masks_) {
    if (masks.plan().first_step <= step) newest = &masks;
  }
  DROPBP_CHECK(newest != nullptr);
  return *newest;
}

}  // namespace dropbp::trainer
