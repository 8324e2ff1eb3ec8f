#include "worker/data/job_data.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/job/evaluation_schedule.h"
#include "worker/data/mix.h"
#include "worker/data/packing.h"

namespace dropbp::data {
namespace {

std::string HashOf(const Sample& sample, uint64_t seed) {
  Sha256 digest;
  digest.Update({reinterpret_cast<const char*>(&seed), sizeof seed});
  digest.Update(
      {reinterpret_cast<const char*>(sample.ids.data()), sample.ids.size() * sizeof(TokenId)});
  return digest.Finish();
}

// Settings of the validation file: those of the data set.
DatasetSpec ValidationSpec(const DatasetSpec& spec) {
  DatasetSpec validation = spec;
  validation.artifact = spec.validation_artifact;
  validation.validation_artifact.clear();
  validation.packing = false;
  validation.mix.clear();
  return validation;
}

// Counts samples and tokens again; what else was counted is of the whole file.
void CountAgain(TokenizedDataset& dataset) {
  DatasetReport& report = dataset.report;
  report.samples = report.tokens = report.supervised_tokens = 0;
  for (const Sample& sample : dataset.samples) CountSample(sample, report);
}

absl::StatusOr<std::vector<Sample>> TakeShare(const JobSpec& spec, TokenizedDataset& dataset) {
  const double share = spec.dataset.validation_share;
  const size_t all = dataset.samples.size();
  std::vector<Sample> held_out =
      HoldOut(share, static_cast<uint64_t>(spec.training.seed), dataset.samples);
  if (held_out.empty() || dataset.samples.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset.validation_share: found ", share, ", which holds out ",
                     held_out.size(), " of ", all,
                     " samples; legal is a share that leaves some on both sides, or a validation "
                     "file instead"));
  }
  CountAgain(dataset);
  MakeRows(spec.dataset, dataset);
  return held_out;
}

absl::StatusOr<std::vector<Sample>> LoadHeldOut(const JobFiles& files, const JobSpec& spec,
                                                const std::string& model_dir,
                                                TokenizedDataset& dataset) {
  if (!files.validation.empty()) {
    ASSIGN_OR_RETURN(TokenizedDataset loaded,
                     LoadDataset(files.validation, ValidationSpec(spec.dataset), model_dir));
    return std::move(loaded.samples);
  }
  if (spec.dataset.validation_share > 0) return TakeShare(spec, dataset);
  return std::vector<Sample>();
}

}  // namespace

absl::StatusOr<JobData> LoadJobData(const JobFiles& files, const JobSpec& spec,
                                    const std::string& model_dir) {
  JobData data;
  ASSIGN_OR_RETURN(data.training, LoadDataset(files.dataset, spec.dataset, model_dir));
  RETURN_IF_ERROR(AddMix(files.mix, spec.dataset, static_cast<uint64_t>(spec.training.seed),
                         model_dir, data.training));
  ASSIGN_OR_RETURN(data.held_out, LoadHeldOut(files, spec, model_dir, data.training));
  const auto most = static_cast<size_t>(spec.evaluation.max_samples);
  if (most > 0 && data.held_out.size() > most) data.held_out.resize(most);
  DatasetReport& report = data.training.report;
  report.validation_samples = static_cast<int64_t>(data.held_out.size());
  for (const Sample& sample : data.held_out)
    report.validation_supervised_tokens += sample.SupervisedTokens();
  return data;
}

std::vector<Sample> HoldOut(double share, uint64_t seed, std::vector<Sample>& samples) {
  const int64_t count = HeldOutSamples(share, static_cast<int64_t>(samples.size()));
  if (count == 0) return {};
  std::vector<std::string> hashes;
  for (const Sample& sample : samples) hashes.push_back(HashOf(sample, seed));
  std::vector<std::string> ordered = hashes;
  std::nth_element(ordered.begin(), ordered.begin() + (count - 1), ordered.end());
  const std::string& largest = ordered[static_cast<size_t>(count - 1)];
  std::vector<Sample> held_out, kept;
  for (size_t i = 0; i < samples.size(); ++i)
    (hashes[i] <= largest ? held_out : kept).push_back(std::move(samples[i]));
  samples = std::move(kept);
  return held_out;
}

}  // namespace dropbp::data
