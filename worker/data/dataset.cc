#include "worker/data/dataset.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "worker/data/line_errors.h"
#include "worker/data/packing.h"
#include "worker/data/record.h"
#include "worker/data/record_source.h"
#include "worker/data/sample_builder.h"
#include "worker/data/token_cache.h"

namespace dropbp::data {
namespace {

constexpr size_t kShownRenderingBytes = 2000;

// Calls `take` with every record of a file. Bad records, those that `take` refuses among them, are
// collected; the file's format is returned.
absl::StatusOr<RecordFormat> ForEachRecord(
    const std::string& path, const DatasetSpec& spec,
    const std::function<absl::Status(const Record&, int64_t line)>& take) {
  ASSIGN_OR_RETURN(const auto source,
                   RecordSource::Open(path, spec.file_type, RecordParser::Keys(spec.fields)));
  LineErrors errors(path, source->unit());
  std::optional<RecordParser> parser;
  bool any_record = false;
  const auto take_item = [&](const RecordSource::Item& item) -> absl::Status {
    RETURN_IF_ERROR(item.value.status());
    if (!parser.has_value()) {
      ASSIGN_OR_RETURN(parser, RecordParser::For(spec.format, spec.fields, *item.value));
    }
    ASSIGN_OR_RETURN(const Record record, parser->Parse(*item.value));
    return take(record, item.line);
  };
  RecordSource::Item item;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, source->Next(item));
    if (!more) break;
    any_record = true;
    absl::Status taken = take_item(item);
    if (taken.ok()) continue;
    errors.Add(item.line, taken);
    // No format fits the first record: every other one would say the same.
    if (!parser.has_value() && item.value.ok() && item.value->is_object()) break;
  }
  RETURN_IF_ERROR(errors.Result());
  if (!any_record)
    return absl::InvalidArgumentError(absl::StrCat(path, ": the file has no records"));
  return parser->format();
}

// SHA-256 of what a sample trains on: its ids, and which of them carry loss.
std::string DigestOf(const Sample& sample) {
  std::string mask;
  for (const bool supervised : sample.supervised) mask += supervised ? '1' : '0';
  Sha256 digest;
  digest.Update(
      {reinterpret_cast<const char*>(sample.ids.data()), sample.ids.size() * sizeof(TokenId)});
  digest.Update(mask);
  return digest.Finish();
}

// Samples of a file as they come in.
class Collector {
 public:
  Collector(const DatasetSpec& spec, const SampleBuilder& builder)
      : spec_(spec), builder_(builder) {}

  absl::Status Add(const Record& record, int64_t line) {
    ASSIGN_OR_RETURN(const RenderedRecord rendered, builder_.Render(record));
    if (!first_rendering_.has_value())
      first_rendering_ = Shortened(rendered.text, kShownRenderingBytes);
    ASSIGN_OR_RETURN(Sample sample, builder_.Tokenize(rendered));
    sample.line = line;
    return AddSample(std::move(sample));
  }

  // INVALID_ARGUMENT if nothing of the file carries loss.
  absl::StatusOr<TokenizedDataset> Finish(const std::string& path, RecordFormat format) {
    dataset_.report.format = RecordFormatName(format);
    if (!dataset_.samples.empty()) return std::move(dataset_);
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": no token carries loss in any of ", dataset_.report.dropped,
                     " records within max_length ", spec_.max_length, HowCut(),
                     "; the first one is rendered as:\n", *first_rendering_));
  }

 private:
  // What may have carried loss beyond max_length.
  std::string HowCut() const {
    if (too_long_ == 0) return "";
    return absl::StrCat("; ", too_long_, " of them are longer, up to ", dataset_.report.longest,
                        " tokens, and were ", spec_.overlength == "drop" ? "left out" : "cut",
                        ": raise dataset.max_length");
  }

  absl::Status AddSample(Sample sample) {
    DatasetReport& report = dataset_.report;
    const int64_t length = static_cast<int64_t>(sample.ids.size());
    report.longest = std::max(report.longest, length);
    const bool too_long = length > spec_.max_length;
    if (too_long && spec_.overlength == "refuse") {
      return absl::InvalidArgumentError(
          absl::StrCat(length, " tokens, legal are at most max_length ", spec_.max_length,
                       "; set dataset.max_length, or dataset.overlength to truncate or drop"));
    }
    if (too_long) {
      ++too_long_;
      sample.ids.resize(static_cast<size_t>(spec_.max_length));
      sample.supervised.resize(static_cast<size_t>(spec_.max_length));
    }
    if (spec_.duplicates == "remove" && !seen_.insert(DigestOf(sample)).second) {
      ++report.duplicates;
      return absl::OkStatus();
    }
    if (sample.SupervisedTokens() == 0 || (too_long && spec_.overlength == "drop")) {
      ++report.dropped;
      return absl::OkStatus();
    }
    report.truncated += too_long;
    CountSample(sample, report);
    dataset_.samples.push_back(std::move(sample));
    return absl::OkStatus();
  }

  const DatasetSpec& spec_;
  const SampleBuilder& builder_;
  TokenizedDataset dataset_;
  int64_t too_long_ = 0;  // records
  std::optional<std::string> first_rendering_;
  absl::flat_hash_set<std::string> seen_;  // digests of samples
};

}  // namespace

int64_t Sample::SupervisedTokens() const {
  return std::count(supervised.begin(), supervised.end(), true);
}

void CountSample(const Sample& sample, DatasetReport& report) {
  ++report.samples;
  report.tokens += static_cast<int64_t>(sample.ids.size());
  report.supervised_tokens += sample.SupervisedTokens();
}

namespace {

absl::StatusOr<TokenizedDataset> Tokenize(const std::string& path, const DatasetSpec& spec,
                                          const std::string& model_dir) {
  ASSIGN_OR_RETURN(const SampleBuilder builder, SampleBuilder::Load(model_dir, spec));
  Collector collector(spec, builder);
  ASSIGN_OR_RETURN(const RecordFormat format,
                   ForEachRecord(path, spec, [&](const Record& record, int64_t line) {
                     return collector.Add(record, line);
                   }));
  return collector.Finish(path, format);
}

// As it is in the cache: samples and their report.
absl::StatusOr<TokenizedDataset> LoadSamples(const std::string& path, const DatasetSpec& spec,
                                             const std::string& model_dir) {
  if (!TokenCache::Covers(path, spec)) return Tokenize(path, spec, model_dir);
  ASSIGN_OR_RETURN(const TokenCache cache, TokenCache::For(path, spec, model_dir));
  if (auto cached = cache.Read(); cached.has_value()) return *std::move(cached);
  ASSIGN_OR_RETURN(TokenizedDataset dataset, Tokenize(path, spec, model_dir));
  // Without room for it the next one tokenises again.
  cache.Write(dataset).IgnoreError();
  return dataset;
}

}  // namespace

absl::StatusOr<TokenizedDataset> LoadDataset(const std::string& path, const DatasetSpec& spec,
                                             const std::string& model_dir) {
  ASSIGN_OR_RETURN(TokenizedDataset dataset, LoadSamples(path, spec, model_dir));
  MakeRows(spec, dataset);
  return dataset;
}

absl::StatusOr<std::vector<PromptAndAnswer>> LoadPrompts(const std::string& path,
                                                         const DatasetSpec& spec,
                                                         const std::string& model_dir) {
  ASSIGN_OR_RETURN(const SampleBuilder builder, SampleBuilder::Load(model_dir, spec));
  std::vector<PromptAndAnswer> prompts;
  auto format = ForEachRecord(path, spec, [&](const Record& record, int64_t) -> absl::Status {
    ASSIGN_OR_RETURN(std::string prompt, builder.RenderPrompt(record));
    const Message& answer = record.messages[static_cast<size_t>(record.LastAnswer())];
    prompts.push_back({std::move(prompt), answer.content});
    return absl::OkStatus();
  });
  if (!format.ok()) return format.status();
  return prompts;
}

}  // namespace dropbp::data
