#include "bench/method_report/sensitivity.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>
#include <thread>

#include "absl/strings/str_cat.h"
#include "bench/method_report/probe_parts.h"
#include "bench/method_report/statistics.h"
#include "core/plan/layer_table.h"
#include "core/plan/plan_stages.h"
#include "core/plan/sensitivity.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/train/failure.h"
#include "worker/trainer/train/probe.h"
#include "worker/trainer/train/sensitivity.h"

namespace dropbp::bench {
namespace {

using trainer::Decoder;
using trainer::ProbeMeasure;
using trainer::ProbeNorms;
using trainer::ProcessGroup;
using trainer::StepBatch;

// One of the things that are measured, and what came out of it.
struct Contender {
  std::string name;
  std::function<absl::StatusOr<ProbeNorms>()> measure;
  std::vector<double> seconds = {};
  ProbeNorms norms = {};
};

// The norms of all units, in this thread.
Contender OneRank(std::string name, ProbeMeasure measure, Decoder& model, const StepBatch& batch) {
  std::vector<int> units(static_cast<size_t>(2 * model.config().shape.layers));
  std::iota(units.begin(), units.end(), 0);
  return {std::move(name), [&model, &batch, measure, units = std::move(units)] {
            return measure(model, batch, units);
          }};
}

// Two ranks of a job: a model, a thread and an end of a Gloo group each.
class TwoRanks {
 public:
  using Models = std::array<std::unique_ptr<Decoder>, 2>;

  TwoRanks(const Models& models, const StepBatch& batch, int threads)
      : models_(models), batch_(batch), threads_(threads) {}

  absl::Status Meet() {
    const auto store = trainer::MakeMemoryStore();
    return OnBoth([&](int rank) -> absl::Status {
      ASSIGN_OR_RETURN(groups_[rank],
                       trainer::MakeProcessGroup({.rank = rank, .world_size = 2}, store));
      return absl::OkStatus();
    });
  }

  // The probe as a job runs it, its exchange of norms included.
  absl::StatusOr<ProbeNorms> Probe() {
    trainer::ProbeReport report;
    RETURN_IF_ERROR(OnBoth([&](int rank) -> absl::Status {
      ASSIGN_OR_RETURN(trainer::ProbeReport mine,
                       trainer::ProbeSensitivity(*models_[rank], batch_, /*step=*/0,
                                                 trainer::MeasureBySuffixes, groups_[rank].get()));
      if (rank == 0) report = std::move(mine);
      return absl::OkStatus();
    }));
    ProbeNorms norms;
    norms.base = std::move(report.base_norms);
    for (auto& unit : report.units) norms.dropped.push_back(std::move(unit.norms));
    return norms;
  }

 private:
  absl::Status OnBoth(const std::function<absl::Status(int rank)>& body) {
    std::array<absl::Status, 2> status;
    std::vector<std::thread> ranks;
    for (const int rank : {0, 1}) {
      ranks.emplace_back([&, rank] {
        at::set_num_threads(threads_);  // OpenMP keeps this for each thread
        status[rank] = body(rank);
      });
    }
    for (std::thread& rank : ranks) rank.join();
    return status[0].ok() ? status[1] : status[0];
  }

  const Models& models_;
  const StepBatch& batch_;
  const int threads_;
  std::array<std::unique_ptr<ProcessGroup>, 2> groups_;
};

// Largest |a - b| / |a| over the norms of both.
double LargestDifference(const ProbeNorms& one, const ProbeNorms& other) {
  double largest = 0;
  for (size_t unit = 0; unit < one.dropped.size(); ++unit) {
    const std::vector<double>& a = one.dropped[unit];
    const std::vector<double>& b = other.dropped[unit];
    for (size_t t = 0; t < a.size(); ++t) {
      if (a[t] == b[t]) continue;
      largest = std::max(largest, std::fabs(a[t] - b[t]) / std::max(std::fabs(a[t]), 1e-300));
    }
  }
  return largest;
}

nlohmann::ordered_json RowOf(const Contender& contender, const Contender& definition,
                             const Contender& one_rank) {
  const double seconds = Median(contender.seconds);
  nlohmann::ordered_json row = {
      {"measure", contender.name},
      {"seconds", seconds},
      {"all_seconds", contender.seconds},
      {"faster_than_definition", Median(definition.seconds) / seconds},
      {"faster_than_one_rank", Median(one_rank.seconds) / seconds},
      {"largest_difference", LargestDifference(definition.norms, contender.norms)}};
  if (contender.norms.unit_forwards > 0) {  // ranks do not tell each other
    row["unit_forwards"] = contender.norms.unit_forwards;
    row["unit_backwards"] = contender.norms.unit_backwards;
  }
  return row;
}

Section MakeSection(const ProbeOptions& options, const StepBatch& batch,
                    const std::vector<Contender>& contenders) {
  Section section{
      .key = "sensitivity",
      .heading = "The sensitivity probe",
      .title = absl::StrCat(
          options.method, ", ", options.dtype, ", ", options.threads,
          options.threads == 1 ? " thread, " : " threads, ", batch.micro_batches[0].ids.size(0),
          " sequences of ", batch.micro_batches[0].ids.size(1), " tokens, medians of ",
          options.rounds,
          " interleaved rounds. Work is passes through one unit; difference is the largest "
          "relative one of a gradient norm from N+1 passes, 0 being equal bit for bit."),
      .columns = {{"measure", "measure"},
                  {"unit_forwards", "forwards"},
                  {"unit_backwards", "backwards"},
                  {"seconds", "seconds", 2},
                  {"faster_than_definition", "x N+1 passes", 2},
                  {"faster_than_one_rank", "x one rank", 2},
                  {"largest_difference", "difference"}}};
  for (const Contender& contender : contenders) {
    section.rows.push_back(RowOf(contender, contenders[0], contenders[1]));
  }
  return section;
}

absl::StatusOr<Instance> MakeInstance(const Decoder& model, const ProbeOptions& options,
                                      const ProbeNorms& norms) {
  JobSpec spec;
  spec.method = options.method;
  ASSIGN_OR_RETURN(const LayerTable table,
                   BuildLayerTable(model.config().shape, spec, options.max_length));
  Instance instance{.costs = UnitCosts(table), .sensitivities = {}};
  for (const std::vector<double>& dropped : norms.dropped) {
    ASSIGN_OR_RETURN(const double sensitivity, GradNormVar(norms.base, dropped));
    instance.sensitivities.push_back(sensitivity);
  }
  return instance;
}

absl::StatusOr<MeasuredSensitivities> MeasureOrThrow(const ProbeOptions& options) {
  at::set_num_threads(options.threads);
  ASSIGN_OR_RETURN(const StepBatch batch, ProbeBatchOf(options));
  TwoRanks::Models models;
  for (std::unique_ptr<Decoder>& model : models) {
    ASSIGN_OR_RETURN(model, ProbeModelOf(options));
  }
  TwoRanks both(models, batch, options.threads);
  RETURN_IF_ERROR(both.Meet());
  std::vector<Contender> contenders = {
      OneRank("N+1 passes", trainer::MeasureByDefinition, *models[0], batch),
      OneRank("suffixes", trainer::MeasureBySuffixes, *models[0], batch),
      {"suffixes, 2 ranks", [&] { return both.Probe(); }}};
  for (int round = 0; round < options.rounds; ++round) {
    for (Contender& contender : contenders) {
      absl::StatusOr<ProbeNorms> norms = absl::UnknownError("not measured");
      contender.seconds.push_back(SecondsOf([&] { norms = contender.measure(); }));
      ASSIGN_OR_RETURN(contender.norms, std::move(norms));
    }
  }
  ASSIGN_OR_RETURN(Instance instance, MakeInstance(*models[0], options, contenders[0].norms));
  return MeasuredSensitivities{
      .name = std::filesystem::path(options.model_dir).lexically_normal().filename(),
      .instance = std::move(instance),
      .section = MakeSection(options, batch, contenders)};
}

}  // namespace

absl::StatusOr<MeasuredSensitivities> MeasureSensitivities(const ProbeOptions& options) {
  absl::StatusOr<MeasuredSensitivities> result = MeasuredSensitivities();
  RETURN_IF_ERROR(trainer::RunTorch("sensitivity", [&] {
    result = MeasureOrThrow(options);
    return result.status();
  }));
  return result;
}

}  // namespace dropbp::bench
