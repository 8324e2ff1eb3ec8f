#include "bench/method_report/sensitivity.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bench/method_report/statistics.h"
#include "core/plan/layer_table.h"
#include "core/plan/plan_stages.h"
#include "core/plan/sensitivity.h"
#include "worker/data/dataset.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/train/batch.h"
#include "worker/trainer/train/failure.h"
#include "worker/trainer/train/probe.h"

namespace dropbp::bench {
namespace {

using trainer::Decoder;
using trainer::ProbeMeasure;
using trainer::ProbeNorms;
using trainer::StepBatch;

// One of the things that are measured, and what came out of it.
struct Contender {
  std::string name;
  ProbeMeasure measure;
  std::vector<int> units;
  std::vector<double> seconds;
  ProbeNorms norms;
};

// Units u with u % ranks == rank, as the ranks of a job share them.
std::vector<int> UnitsOfRank(int rank, int ranks, int units) {
  std::vector<int> mine;
  for (int unit = rank; unit < units; unit += ranks) mine.push_back(unit);
  return mine;
}

std::vector<Contender> Contenders(int units) {
  return {{"N+1 passes", trainer::MeasureByDefinition, UnitsOfRank(0, 1, units), {}, {}},
          {"suffixes", trainer::MeasureBySuffixes, UnitsOfRank(0, 1, units), {}, {}},
          {"suffixes, rank 0 of 2", trainer::MeasureBySuffixes, UnitsOfRank(0, 2, units), {}, {}},
          {"suffixes, rank 1 of 2", trainer::MeasureBySuffixes, UnitsOfRank(1, 2, units), {}, {}}};
}

absl::StatusOr<StepBatch> FirstSamples(const ProbeOptions& options) {
  DatasetSpec spec;
  spec.max_length = options.max_length;
  ASSIGN_OR_RETURN(const data::TokenizedDataset dataset,
                   data::LoadDataset(options.data, spec, options.model_dir));
  const auto count = std::min<size_t>(dataset.samples.size(), static_cast<size_t>(options.samples));
  std::vector<int64_t> indices(count);
  std::iota(indices.begin(), indices.end(), int64_t{0});
  StepBatch batch;
  for (int64_t index : indices) {
    const data::Sample& sample = dataset.samples[static_cast<size_t>(index)];
    batch.tokens += static_cast<int64_t>(sample.ids.size());
    batch.supervised_tokens += sample.SupervisedTokens();
  }
  batch.micro_batches.push_back(trainer::MakeMicroBatch(dataset.samples, indices, at::kCPU));
  return batch;
}

// Fresh adapters are zero in their second matrix, and so are then the gradients of the first.
void PerturbAdapters(const Decoder& model) {
  at::manual_seed(1);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.trainable()) {
    if (absl::StrContains(parameter.name, "lora_B")) at::Tensor(parameter.value).normal_(0, 0.01);
  }
}

// Largest |a - b| / |a| over the norms that both measured, of the units that `other` has.
double LargestDifference(const Contender& all, const Contender& other) {
  double largest = 0;
  for (size_t i = 0; i < other.units.size(); ++i) {
    const std::vector<double>& a = all.norms.dropped[static_cast<size_t>(other.units[i])];
    const std::vector<double>& b = other.norms.dropped[i];
    for (size_t t = 0; t < a.size(); ++t) {
      if (a[t] == b[t]) continue;
      largest = std::max(largest, std::fabs(a[t] - b[t]) / std::max(std::fabs(a[t]), 1e-300));
    }
  }
  return largest;
}

Section MakeSection(const ProbeOptions& options, const StepBatch& batch,
                    const std::vector<Contender>& contenders) {
  Section section{
      .key = "sensitivity",
      .title = absl::StrCat(
          "The sensitivity probe, ", options.method, ", ", options.dtype, ", ", options.threads,
          options.threads == 1 ? " thread, " : " threads, ", batch.micro_batches[0].ids.size(0),
          " sequences of ", batch.micro_batches[0].ids.size(1), " tokens, medians of ",
          options.rounds,
          " interleaved rounds. Work is passes through one unit; difference is the largest "
          "relative one of a gradient norm from N+1 passes, 0 being equal bit for bit."),
      .columns = {{"measure", "measure"},
                  {"units", "units"},
                  {"unit_forwards", "forwards"},
                  {"unit_backwards", "backwards"},
                  {"seconds", "seconds", 2},
                  {"faster_than_definition", "x N+1 passes", 2},
                  {"faster_than_one_rank", "x one rank", 2},
                  {"largest_difference", "difference"}}};
  const double definition = Median(contenders[0].seconds);
  const double one_rank = Median(contenders[1].seconds);
  for (const Contender& contender : contenders) {
    const double seconds = Median(contender.seconds);
    section.rows.push_back({{"measure", contender.name},
                            {"units", contender.units.size()},
                            {"unit_forwards", contender.norms.unit_forwards},
                            {"unit_backwards", contender.norms.unit_backwards},
                            {"seconds", seconds},
                            {"all_seconds", contender.seconds},
                            {"faster_than_definition", definition / seconds},
                            {"faster_than_one_rank", one_rank / seconds},
                            {"largest_difference", LargestDifference(contenders[0], contender)}});
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
  ASSIGN_OR_RETURN(const StepBatch batch, FirstSamples(options));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<Decoder> model,
      Decoder::Load(
          options.model_dir,
          {.dtype = options.dtype, .device = "cpu", .method = options.method, .seed = 1}));
  PerturbAdapters(*model);
  std::vector<Contender> contenders =
      Contenders(static_cast<int>(2 * model->config().shape.layers));
  for (int round = 0; round < options.rounds; ++round) {
    for (Contender& contender : contenders) {
      contender.seconds.push_back(
          SecondsOf([&] { contender.norms = contender.measure(*model, batch, contender.units); }));
    }
  }
  ASSIGN_OR_RETURN(Instance instance, MakeInstance(*model, options, contenders[0].norms));
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
