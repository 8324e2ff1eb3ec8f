#include "worker/trainer/train/sensitivity.h"

#include <chrono>
#include <optional>

#include "core/plan/sensitivity.h"
#include "worker/trainer/train/failure.h"

namespace dropbp::trainer {
namespace {

// A probe keeps of its sequences what a step at drop rate 0 does.
constexpr char kProbeMemoryAdvice[] =
    "Set training.activation_checkpointing, make dropbp.probe_samples or dataset.max_length "
    "smaller, or choose dropbp.allocation: uniform, which needs no probe.";

// Units u with u % world == rank.
std::vector<int> UnitsOf(int rank, int world_size, int units) {
  std::vector<int> mine;
  for (int unit = rank; unit < units; unit += world_size) mine.push_back(unit);
  return mine;
}

// One rank's share as one vector: the base norms, then those of its units; padded, since all ranks
// send the same number.
std::vector<double> Flatten(const ProbeNorms& norms, size_t most_units) {
  std::vector<double> flat = norms.base;
  for (const auto& dropped : norms.dropped) flat.insert(flat.end(), dropped.begin(), dropped.end());
  flat.resize(norms.base.size() * (1 + most_units), 0.0);
  return flat;
}

ProbeReport Merge(const std::vector<std::vector<double>>& shares, int64_t step, size_t tensors,
                  int units) {
  const auto world = static_cast<int>(shares.size());
  ProbeReport report;
  report.step = step;
  report.base_norms.assign(shares[0].begin(), shares[0].begin() + static_cast<int64_t>(tensors));
  for (int unit = 0; unit < units; ++unit) {
    const std::vector<double>& share = shares[unit % world];
    const auto begin = share.begin() + static_cast<int64_t>(tensors) * (1 + unit / world);
    report.units.push_back({unit, {begin, begin + static_cast<int64_t>(tensors)}});
  }
  return report;
}

}  // namespace

absl::StatusOr<ProbeReport> ProbeSensitivity(Decoder& model, const StepBatch& batch, int64_t step,
                                             ProbeMeasure measure, ProcessGroup* group) {
  const auto begin = std::chrono::steady_clock::now();
  const int rank = group == nullptr ? 0 : group->rank();
  const int world = group == nullptr ? 1 : group->world_size();
  const int units = static_cast<int>(2 * model.config().shape.layers);
  ProbeNorms norms;
  RETURN_IF_ERROR(RunTorch(
      "sensitivity probe",
      [&] {
        norms = measure(model, batch, UnitsOf(rank, world, units));
        return absl::OkStatus();
      },
      kProbeMemoryAdvice));
  std::vector<std::vector<double>> shares = {Flatten(norms, (units + world - 1) / world)};
  if (group != nullptr) {
    ASSIGN_OR_RETURN(shares, group->AllGather(absl::MakeConstSpan(shares[0])));
  }
  ProbeReport report = Merge(shares, step, norms.base.size(), units);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

absl::StatusOr<std::vector<double>> SensitivitiesOf(const ProbeReport& report) {
  std::vector<double> sensitivities(report.units.size());
  for (const ProbeReport::UnitNorms& unit : report.units) {
    ASSIGN_OR_RETURN(sensitivities[unit.unit], GradNormVar(report.base_norms, unit.norms));
  }
  return sensitivities;
}

}  // namespace dropbp::trainer
