#include "server/run/job_memory.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/plan/memory_verdict.h"
#include "proto/support/job_spec_proto.h"

namespace dropbp::server {
namespace {

bool HasModel(const KnownWorker& worker, const std::string& model) {
  const auto& models = worker.hello.models();
  return std::find(models.begin(), models.end(), model) != models.end();
}

// CPU slots of a worker are one memory, a GPU's slot is one each.
void AddMemories(const KnownWorker& worker, std::vector<SlotMemory>& memories) {
  SlotMemory node{.worker = worker.id()};
  for (const v1::DeviceSlot& slot : worker.hello.slots()) {
    if (slot.kind() == v1::DeviceSlot::CUDA) {
      memories.push_back(
          {.worker = worker.id(), .cuda = true, .slots = 1, .bytes = slot.memory_bytes()});
    } else {
      ++node.slots;
      node.bytes += slot.memory_bytes();
    }
  }
  memories.push_back(node);
}

absl::StatusOr<MemoryVerdict> Judge(const JobSpec& spec, const v1::ModelShape& shape,
                                    int64_t total_steps, const Workers& workers) {
  std::vector<SlotMemory> memories;
  for (const auto& [id, worker] : workers) {
    if (HasModel(worker, spec.model)) AddMemories(worker, memories);
  }
  return JudgeMemory(ModelShapeFromProto(shape), spec, total_steps, memories);
}

std::string Sentence(const char* beginning, const MemoryVerdict& verdict) {
  return absl::StrCat(beginning, ": ", verdict.figures, ". ", verdict.advice);
}

const v1::ModelShape* FindShape(const std::string& model, const Workers& workers) {
  for (const auto& [id, worker] : workers) {
    if (!worker.connected()) continue;
    for (const v1::WorkerModel& one : worker.hello.model_configs()) {
      if (one.name() == model && one.has_shape()) return &one.shape();
    }
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<MemoryCheck> CheckMemory(const JobSpec& spec, const v1::ModelShape& shape,
                                        const v1::DatasetReport& data, int64_t total_steps,
                                        const Workers& workers) {
  // No row of a batch is longer than the longest sample, or than all of them packed.
  JobSpec known = spec;
  const int64_t longest = spec.dataset.packing ? data.tokens() : data.longest();
  if (longest > 0) known.dataset.max_length = std::min(spec.dataset.max_length, longest);
  ASSIGN_OR_RETURN(const MemoryVerdict verdict, Judge(known, shape, total_steps, workers));
  MemoryCheck check;
  if (verdict.kind == MemoryVerdict::Kind::kTooLarge)
    check.refusal = Sentence("Not enough memory", verdict);
  if (verdict.kind == MemoryVerdict::Kind::kTight)
    check.warning = Sentence("Memory may be short", verdict);
  return check;
}

std::string DryMemoryWarning(const JobSpec& spec, const Workers& workers) {
  const v1::ModelShape* shape = FindShape(spec.model, workers);
  if (shape == nullptr) return "";
  const auto verdict = Judge(spec, *shape, spec.training.steps, workers);
  if (!verdict.ok() || verdict->kind == MemoryVerdict::Kind::kFits) return "";
  return Sentence(verdict->kind == MemoryVerdict::Kind::kTooLarge
                      ? "Not enough memory, unless all samples are shorter"
                      : "Memory may be short",
                  *verdict);
}

}  // namespace dropbp::server
