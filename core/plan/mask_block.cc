// Masks as bytes: packing, hashing, blocks and their verification.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/fnv.h"
#include "core/plan/mask_plan.h"

namespace dropbp {
namespace {

constexpr int32_t kMaxUnits = 1 << 16;
constexpr int64_t kMaxStep = int64_t{1} << 53;

size_t BytesOfRow(size_t units) { return (units + 7) / 8; }

void AppendRow(const MaskRow& row, std::string& bits) {
  const size_t begin = bits.size();
  bits.resize(begin + BytesOfRow(row.size()));
  for (size_t u = 0; u < row.size(); ++u) {
    if (row[u]) bits[begin + u / 8] = static_cast<char>(bits[begin + u / 8] | (1 << (u % 8)));
  }
}

uint64_t HashOf(const MaskBlock& block) {
  Fnv1a64 hash;
  hash.Number(static_cast<uint64_t>(block.plan_version))
      .Number(static_cast<uint64_t>(block.first_step));
  hash.Number(static_cast<uint64_t>(block.steps)).Number(static_cast<uint64_t>(block.rows));
  hash.Number(static_cast<uint64_t>(block.units)).Bytes(block.bits);
  for (uint32_t rate : block.keep_rates) hash.Number(rate);
  return hash.hash();
}

absl::Status CheckSizes(const MaskBlock& block) {
  if (block.first_step < 0 || block.first_step > kMaxStep || block.steps < 1 || block.rows < 1 ||
      block.units < 1 || block.units > kMaxUnits) {
    return absl::InvalidArgumentError(absl::StrCat(
        "mask block: found first step ", block.first_step, ", ", block.steps, " steps, ",
        block.rows, " rows, ", block.units, " units, legal is first step 0 to ", kMaxStep,
        ", at least 1 step and row, 1 to ", kMaxUnits, " units"));
  }
  // Below 2^62 * 2^13: compared without multiplying all three.
  const uint64_t rows = static_cast<uint64_t>(block.steps) * static_cast<uint64_t>(block.rows);
  const uint64_t row_bytes = BytesOfRow(static_cast<size_t>(block.units));
  if (block.bits.size() % row_bytes != 0 || block.bits.size() / row_bytes != rows) {
    return absl::InvalidArgumentError(absl::StrCat("mask block: found ", block.bits.size(),
                                                   " bytes, legal is ", rows, " rows of ",
                                                   row_bytes));
  }
  if (block.keep_rates.size() != static_cast<size_t>(block.units)) {
    return absl::InvalidArgumentError(absl::StrCat("mask block: found ", block.keep_rates.size(),
                                                   " keep rates, legal is ", block.units));
  }
  return absl::OkStatus();
}

}  // namespace

std::string PackMaskRows(const std::vector<MaskRow>& rows) {
  std::string bits;
  for (const MaskRow& row : rows) AppendRow(row, bits);
  return bits;
}

uint64_t MaskHash(const std::vector<MaskRow>& rows) {
  return Fnv1a64().Bytes(PackMaskRows(rows)).hash();
}

MaskBlock DrawMaskBlock(const MaskPlan& plan, int64_t first_step, int32_t steps) {
  MaskBlock block{.plan_version = plan.plan().version,
                  .first_step = first_step,
                  .steps = steps,
                  .rows = plan.rows(),
                  .units = static_cast<int32_t>(plan.plan().keep_rates.size()),
                  .keep_rates = plan.plan().keep_rates};
  for (int64_t step = first_step; step < first_step + steps; ++step) {
    for (const MaskRow& row : plan.Draw(step)) AppendRow(row, block.bits);
  }
  block.hash = HashOf(block);
  return block;
}

absl::Status VerifyMaskBlock(const MaskBlock& block) {
  RETURN_IF_ERROR(CheckSizes(block));
  const uint64_t hash = HashOf(block);
  if (hash == block.hash) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "mask block of steps ", block.first_step, " to ", block.first_step + block.steps - 1,
      ": found hash ", absl::Hex(block.hash, absl::kZeroPad16), ", its content has ",
      absl::Hex(hash, absl::kZeroPad16)));
}

std::vector<MaskRow> UnpackStep(const MaskBlock& block, int64_t step) {
  DROPBP_CHECK(step >= block.first_step && step < block.first_step + block.steps);
  const size_t units = static_cast<size_t>(block.units);
  const size_t row_bytes = BytesOfRow(units);
  std::vector<MaskRow> rows(static_cast<size_t>(block.rows), MaskRow(units));
  size_t byte = static_cast<size_t>(step - block.first_step) * rows.size() * row_bytes;
  for (MaskRow& row : rows) {
    for (size_t u = 0; u < units; ++u) row[u] = (block.bits[byte + u / 8] >> (u % 8) & 1) != 0;
    byte += row_bytes;
  }
  return rows;
}

}  // namespace dropbp
