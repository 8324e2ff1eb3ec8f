#include "core/plan/memory_verdict.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/format_bytes.h"
#include "core/plan/plan_stages.h"

namespace dropbp {
namespace {

const char* KindName(bool cuda) { return cuda ? "cuda" : "cpu"; }

ComputeSite SiteOf(const JobSpec& spec, bool cuda, bool auto_is_bf16) {
  const bool bf16 = spec.dtype == "auto" ? cuda || auto_is_bf16 : spec.dtype == "bf16";
  return {.dtype_bytes = bf16 ? 2 : 4, .cuda = cuda};
}

// Slots of one kind.
struct KindMemory {
  bool cuda = false;
  int slots = 0;
  const SlotMemory* largest = nullptr;           // by what a rank alone would have
  const SlotMemory* smallest = nullptr;          // by what one has beside others
  std::vector<const SlotMemory*> memories = {};  // all of them
};

int64_t ShareOfSlot(const SlotMemory& memory) { return memory.bytes / memory.slots; }

std::optional<KindMemory> OfKind(absl::Span<const SlotMemory> memories, bool cuda) {
  KindMemory kind{.cuda = cuda};
  for (const SlotMemory& memory : memories) {
    if (memory.cuda != cuda || memory.slots <= 0 || memory.bytes <= 0) continue;
    kind.slots += memory.slots;
    kind.memories.push_back(&memory);
    if (kind.largest == nullptr || memory.bytes > kind.largest->bytes) kind.largest = &memory;
    if (kind.smallest == nullptr || ShareOfSlot(memory) < ShareOfSlot(*kind.smallest))
      kind.smallest = &memory;
  }
  if (kind.slots == 0) return std::nullopt;
  return kind;
}

// How many ranks fit at once where each may need kRefusedShare of what it is given.
int RanksHeld(const KindMemory& kind, int64_t peak) {
  int held = 0;
  for (const SlotMemory* memory : kind.memories) {
    const double ranks =
        kRefusedShare * static_cast<double>(memory->bytes) / static_cast<double>(peak);
    held += static_cast<int>(std::min<double>(memory->slots, std::floor(ranks)));
  }
  return held;
}

std::string DescribeMemory(const SlotMemory& memory, const char* which) {
  std::string text = absl::StrCat("the ", which, ", worker '", memory.worker, "', has ",
                                  FormatBytes(memory.bytes));
  if (!memory.cuda && memory.slots > 1)
    absl::StrAppend(&text, ", shared by ", memory.slots, " cpu slots");
  return text;
}

std::string DescribeNeed(const JobSpec& spec, const MemoryEstimate& need, const ComputeSite& site) {
  return absl::StrCat(
      "with samples of ", spec.dataset.max_length, " tokens a rank is estimated to need ",
      FormatBytes(need.peak), " in ", site.dtype_bytes == 2 ? "bf16" : "fp32", " (weights ",
      FormatBytes(need.weights), ", trained state ", FormatBytes(need.trainable + need.optimizer),
      ", gradients ", FormatBytes(need.gradients), ", activations ", FormatBytes(need.activations),
      ")");
}

// Settings that may need less memory.
std::vector<std::pair<std::string, JobSpec>> Alternatives(const JobSpec& spec) {
  std::vector<std::pair<std::string, JobSpec>> all;
  const auto add = [&all](std::string what, JobSpec changed) {
    all.emplace_back(std::move(what), std::move(changed));
  };
  JobSpec changed = spec;
  if (spec.training.micro_batch_size > 1) {
    changed.training.micro_batch_size = 1;
    changed.dropbp.mask_groups = 0;
    add("training.micro_batch_size: 1", changed);
  }
  changed = spec;
  changed.dataset.max_length = spec.dataset.max_length / 2;
  if (changed.dataset.max_length >= 8)
    add(absl::StrCat("dataset.max_length: ", changed.dataset.max_length), changed);
  changed = spec;
  if (!spec.training.activation_checkpointing) {
    changed.training.activation_checkpointing = true;
    add("training.activation_checkpointing: true", changed);
  }
  changed = spec;
  if (spec.dropbp.drop_rate < 0.75) {
    changed.dropbp.drop_rate = 0.75;
    add("dropbp.drop_rate: 0.75", changed);
  }
  changed = spec;
  if (spec.method == "lora" || spec.method == "full") {
    changed.method = "qlora";
    add("method: qlora", changed);
  }
  return all;
}

std::string Advice(const ModelShape& shape, const JobSpec& spec, int64_t total_steps,
                   const ComputeSite& site, int64_t peak) {
  constexpr double kHelps = 0.95;
  std::vector<std::string> found;
  for (const auto& [what, changed] : Alternatives(spec)) {
    const auto estimate = EstimateJobMemory(shape, changed, total_steps, site);
    if (!estimate.ok() ||
        static_cast<double>(estimate->peak) > kHelps * static_cast<double>(peak)) {
      continue;
    }
    found.push_back(absl::StrCat(what, " (", FormatBytes(estimate->peak), ")"));
  }
  if (found.empty()) return "Only slots with more memory help.";
  return absl::StrCat("What needs less, and how much each alone: ", absl::StrJoin(found, "; "),
                      ".");
}

MemoryVerdict Verdict(MemoryVerdict::Kind kind, std::string figures, std::string advice) {
  return {.kind = kind, .figures = std::move(figures), .advice = std::move(advice)};
}

}  // namespace

absl::StatusOr<MemoryEstimate> EstimateJobMemory(const ModelShape& shape, const JobSpec& spec,
                                                 int64_t total_steps, const ComputeSite& site) {
  ASSIGN_OR_RETURN(const LayerTable table, BuildLayerTable(shape, spec, spec.dataset.max_length));
  JobSpec unprobed = spec;
  unprobed.dropbp.allocation = "uniform";  // only the course of the target matters
  constexpr int64_t kNominalSteps = 1000;
  MemoryEstimate most;
  for (const PlanStage& stage :
       PlanStages(unprobed, total_steps > 0 ? total_steps : kNominalSteps)) {
    ASSIGN_OR_RETURN(const DropPlan plan, MakeStagePlan(table, spec, {.target = stage.target}, {}));
    const MemoryEstimate estimate = EstimateMemory(shape, spec, table, plan, site);
    if (estimate.peak > most.peak) most = estimate;
  }
  return most;
}

absl::StatusOr<MemoryVerdict> JudgeMemory(const ModelShape& shape, const JobSpec& spec,
                                          int64_t total_steps,
                                          absl::Span<const SlotMemory> memories) {
  bool held = false;
  MemoryVerdict too_large, tight;
  for (const bool cuda : {true, false}) {
    const std::optional<KindMemory> kind = OfKind(memories, cuda);
    if (!kind || spec.resources.device == KindName(!cuda)) continue;
    const ComputeSite least_site = SiteOf(spec, cuda, /*auto_is_bf16=*/true);
    ASSIGN_OR_RETURN(const MemoryEstimate least,
                     EstimateJobMemory(shape, spec, total_steps, least_site));
    const int wanted = std::min(static_cast<int>(spec.resources.ranks), kind->slots);
    const int fit = RanksHeld(*kind, least.peak);
    held |= fit >= wanted;
    if (fit < wanted && too_large.figures.empty()) {
      too_large =
          Verdict(MemoryVerdict::Kind::kTooLarge,
                  absl::StrCat(DescribeNeed(spec, least, least_site), ", and the ", KindName(cuda),
                               " slots that it could take hold ", fit, " of ", wanted,
                               wanted == 1 ? " such rank: " : " such ranks: ",
                               DescribeMemory(*kind->largest, "largest")),
                  Advice(shape, spec, total_steps, least_site, least.peak));
    }
    const ComputeSite most_site = SiteOf(spec, cuda, /*auto_is_bf16=*/false);
    ASSIGN_OR_RETURN(const MemoryEstimate most,
                     EstimateJobMemory(shape, spec, total_steps, most_site));
    const int64_t share = ShareOfSlot(*kind->smallest);
    if (static_cast<double>(most.peak) > kTightShare * static_cast<double>(share) &&
        tight.figures.empty()) {
      tight = Verdict(MemoryVerdict::Kind::kTight,
                      absl::StrCat(DescribeNeed(spec, most, most_site),
                                   most.peak == least.peak
                                       ? ""
                                       : absl::StrCat(", or ", FormatBytes(least.peak),
                                                      " where the processor multiplies bf16"),
                                   ", of ", FormatBytes(share), " that a ", KindName(cuda),
                                   " slot of worker '", kind->smallest->worker, "' has"),
                      Advice(shape, spec, total_steps, most_site, most.peak));
    }
  }
  if (!held && !too_large.figures.empty()) return too_large;
  return tight;
}

}  // namespace dropbp
