#include "core/plan/mask_plan.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/base/check.h"
#include "core/base/philox.h"
#include "core/plan/nested_masks.h"

namespace dropbp {
namespace {

// Step c for one row of one stratum. `offset` is the row's first mark, in [0, 2^24).
void MarkRow(const std::vector<int32_t>& units, const std::vector<uint32_t>& keep_rates,
             uint32_t offset, MaskRow& row) {
  // Marks lie at offset + j * 2^24, so position p has passed ceil((p - offset) / 2^24) of them.
  uint64_t position = kKeepOne - 1 - offset;
  for (int32_t unit : units) {
    const uint64_t end = position + keep_rates[static_cast<size_t>(unit)];
    if ((position ^ end) >= kKeepOne) row[static_cast<size_t>(unit)] = true;
    position = end;
  }
}

}  // namespace

MaskPlan::MaskPlan(DropPlan plan, uint64_t seed, int rows)
    : plan_(std::move(plan)), seed_(seed), rows_(rows), units_of_(plan_.kept_in_stratum.size()) {
  DROPBP_CHECK(rows >= 1);
  DROPBP_CHECK_EQ(plan_.keep_rates.size(), plan_.unit_stratum.size());
  if (plan_.nested()) {
    DROPBP_CHECK_EQ(rows % plan_.block.rows, 0);
    return;
  }
  for (size_t unit = 0; unit < plan_.unit_stratum.size(); ++unit) {
    units_of_[static_cast<size_t>(plan_.unit_stratum[unit])].push_back(static_cast<int32_t>(unit));
  }
}

std::vector<MaskRow> MaskPlan::Draw(int64_t step) const {
  return plan_.nested() ? DrawNested(step) : DrawByRuler(step);
}

std::vector<MaskRow> MaskPlan::DrawNested(int64_t step) const {
  std::vector<MaskRow> rows;
  for (uint32_t block = 0; rows.size() < static_cast<size_t>(rows_); ++block) {
    std::vector<MaskRow> drawn = DrawNestedBlock(plan_, seed_, step, block);
    std::move(drawn.begin(), drawn.end(), std::back_inserter(rows));
  }
  return rows;
}

std::vector<MaskRow> MaskPlan::DrawByRuler(int64_t step) const {
  std::vector<MaskRow> rows(static_cast<size_t>(rows_), MaskRow(plan_.keep_rates.size()));
  for (size_t stratum = 0; stratum < units_of_.size(); ++stratum) {
    PhiloxStream random(seed_, static_cast<uint64_t>(step),
                        kMaskStream | static_cast<uint32_t>(stratum));
    std::vector<int32_t> units = units_of_[stratum];
    Shuffle(random, units);
    const uint64_t offset = random.Next() >> 8;
    for (size_t r = 0; r < rows.size(); ++r) {
      const uint64_t row_offset = (offset + r * kKeepOne / rows.size()) % kKeepOne;
      MarkRow(units, plan_.keep_rates, static_cast<uint32_t>(row_offset), rows[r]);
    }
  }
  return rows;
}

}  // namespace dropbp
