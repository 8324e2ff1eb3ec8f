#include "worker/data/mix.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/philox.h"
#include "worker/data/byte_reader.h"
#include "worker/data/packing.h"

namespace dropbp::data {
namespace {

// A list or lines of objects begin as such. Files are named by their content, so that a name that
// ends in .csv cannot tell.
absl::StatusOr<std::string> FileTypeOf(const std::string& path) {
  ASSIGN_OR_RETURN(ByteReader reader, ByteReader::Open(path));
  int byte = reader.Next();
  while (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') byte = reader.Next();
  RETURN_IF_ERROR(reader.Finish());
  return byte == '[' ? "json" : byte == '{' ? "jsonl" : "csv";
}

absl::StatusOr<TokenizedDataset> LoadFile(const std::string& sha256, const std::string& path,
                                          const DatasetSpec& dataset,
                                          const std::string& model_dir) {
  DatasetSpec spec = dataset;
  spec.artifact = sha256;
  spec.format = "auto";
  spec.packing = false;
  ASSIGN_OR_RETURN(spec.file_type, FileTypeOf(path));
  return LoadDataset(path, spec, model_dir);
}

// Which samples come once more for a fraction of a weight, ascending.
std::vector<int64_t> DrawShare(double share, int64_t count, uint64_t seed, uint32_t file) {
  std::vector<int64_t> drawn(static_cast<size_t>(count));
  std::iota(drawn.begin(), drawn.end(), 0);
  // Epochs draw from stream 0 of this use.
  PhiloxStream random(seed, 0, kDataOrderStream + 1 + file);
  Shuffle(random, drawn);
  drawn.resize(static_cast<size_t>(std::llround(share * static_cast<double>(count))));
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

void Append(const Sample& sample, TokenizedDataset& dataset) {
  CountSample(sample, dataset.report);
  dataset.samples.push_back(sample);
}

// Every sample is in memory as often as it comes in a pass.
absl::Status CheckSize(const std::string& path, double weight, const TokenizedDataset& file,
                       const TokenizedDataset& dataset) {
  constexpr double kMostTokens = 2e9;
  const double tokens =
      static_cast<double>(dataset.report.tokens) + weight * static_cast<double>(file.report.tokens);
  if (tokens <= kMostTokens) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": found weight ", weight, " on ", file.report.tokens, " tokens, which makes ", tokens,
      " in one pass; legal are at most ", kMostTokens));
}

void AddReport(const DatasetReport& file, DatasetReport& report) {
  report.truncated += file.truncated;
  report.dropped += file.dropped;
  report.duplicates += file.duplicates;
  report.longest = std::max(report.longest, file.longest);
  const std::vector<std::string> formats = absl::StrSplit(report.format, " + ");
  if (std::find(formats.begin(), formats.end(), file.format) == formats.end())
    absl::StrAppend(&report.format, " + ", file.format);
}

}  // namespace

absl::Status AddMix(const std::map<std::string, std::string>& paths, const DatasetSpec& spec,
                    uint64_t seed, const std::string& model_dir, TokenizedDataset& dataset) {
  if (spec.mix.empty()) return absl::OkStatus();
  uint32_t index = 0;
  for (const auto& [sha256, weight] : spec.mix) {
    const auto path = paths.find(sha256);
    if (path == paths.end())
      return absl::NotFoundError(absl::StrCat("dataset.mix: found no file ", sha256));
    ASSIGN_OR_RETURN(const TokenizedDataset file, LoadFile(sha256, path->second, spec, model_dir));
    AddReport(file.report, dataset.report);
    RETURN_IF_ERROR(CheckSize(path->second, weight, file, dataset));
    const double whole = std::floor(weight);
    for (int64_t pass = 0; pass < static_cast<int64_t>(whole); ++pass) {
      for (const Sample& sample : file.samples) Append(sample, dataset);
    }
    const auto count = static_cast<int64_t>(file.samples.size());
    for (const int64_t sample : DrawShare(weight - whole, count, seed, index++))
      Append(file.samples[static_cast<size_t>(sample)], dataset);
  }
  MakeRows(spec, dataset);
  return absl::OkStatus();
}

}  // namespace dropbp::data
