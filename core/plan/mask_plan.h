// Masks as a pure function of (seed, plan, step, rows), in integer arithmetic only: nested masks
// where the plan is nested (nested_masks.h), else "the ruler", systematic sampling with random
// order and stratified offsets.
//
// Protocol of the ruler, for one optimizer step with `rows` rows, stratum by stratum:
//   a. permute the stratum's units (Philox, Fisher-Yates) and lay them end to end as segments of
//      length keep_rate;
//   b. draw one offset x in [0, 2^24); row r's ruler has its marks at
//      (x + floor(r * 2^24 / rows)) mod 2^24 + j * 2^24;
//   c. unit u is kept in row r iff a mark of row r falls inside its segment.
//
// Each row keeps exactly n_s units of stratum s; each unit is kept in floor or ceil of rows * q_u
// rows; its inclusion probability is exactly q_u.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/plan/drop_plan.h"

namespace dropbp {

// One row: keep[u] is true if unit u runs its backward pass.
using MaskRow = std::vector<bool>;

class MaskPlan {
 public:
  // `rows` >= 1: mask rows of one optimizer step; a nested plan: a multiple of its block's.
  MaskPlan(DropPlan plan, uint64_t seed, int rows);

  // All rows of one optimizer step, in row order.
  std::vector<MaskRow> Draw(int64_t step) const;

  const DropPlan& plan() const { return plan_; }
  int rows() const { return rows_; }

 private:
  std::vector<MaskRow> DrawByRuler(int64_t step) const;
  std::vector<MaskRow> DrawNested(int64_t step) const;

  DropPlan plan_;
  uint64_t seed_;
  int rows_;
  std::vector<std::vector<int32_t>> units_of_;  // by stratum
};

// Groups that a micro-batch's sequences are divided into, in order and of equal size; each has a
// mask row of its own. dropbp.mask_groups, or if that is 0 the largest divisor of micro_batch_size
// up to 8 for balanced masks, else 1.
int MaskGroups(const JobSpec& spec);

// Rows that one rank uses in one optimizer step: micro-steps (1 if masks are single) times groups.
int MaskRowsOfRank(const JobSpec& spec);

// Rows one optimizer step draws: groups times, by the resolved mask mode, the micro-batches over
// all ranks (balanced), the micro-steps (shared), or 1 (single).
int MaskRows(const JobSpec& spec);

// The row that group `group` of micro-step `micro_step` of `rank` uses.
int MaskRowIndex(const JobSpec& spec, int rank, int micro_step, int group);

// Bits of rows, each padded to whole bytes; unit u is bit u % 8 of byte u / 8; 1 = kept.
std::string PackMaskRows(const std::vector<MaskRow>& rows);

// FNV-1a 64 over the packed rows.
uint64_t MaskHash(const std::vector<MaskRow>& rows);

// Consecutive steps' masks as broadcast.
struct MaskBlock {
  int32_t plan_version = 0;
  int64_t first_step = 0;
  int32_t steps = 0;
  int32_t rows = 0;
  int32_t units = 0;
  std::string bits = {};
  uint64_t hash = 0;
  std::vector<uint32_t> keep_rates = {};
};

// Draws the block [first_step, first_step + steps).
MaskBlock DrawMaskBlock(const MaskPlan& plan, int64_t first_step, int32_t steps);

// INVALID_ARGUMENT unless sizes fit and the hash is that of the content: FNV-1a 64 over version,
// first step, steps, rows, units, bits and keep rates. Finds every change of one byte.
absl::Status VerifyMaskBlock(const MaskBlock& block);

// Rows of one step of a verified block.
std::vector<MaskRow> UnpackStep(const MaskBlock& block, int64_t step);

}  // namespace dropbp
