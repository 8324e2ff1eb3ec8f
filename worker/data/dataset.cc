#include "worker/data/dataset.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "worker/data/line_errors.h"
#include "worker/data/line_reader.h"
#include "worker/data/record.h"
#include "worker/data/sample_builder.h"
#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

constexpr size_t kShownRenderingBytes = 2000;

bool IsBlank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string::npos;
}

absl::Status CheckText(const LineReader::Line& line) {
  if (line.too_long)
    return absl::InvalidArgumentError(absl::StrCat("longer than ", kMaxLineBytes, " bytes"));
  const size_t valid = ValidUtf8Prefix(line.text);
  if (valid == line.text.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("invalid UTF-8 at byte ", valid));
}

// The format that the spec names, or that the first record shows.
absl::StatusOr<RecordFormat> FormatOf(const DatasetSpec& spec, const std::string& first_line) {
  for (RecordFormat format :
       {RecordFormat::kMessages, RecordFormat::kAlpaca, RecordFormat::kPromptCompletion}) {
    if (spec.format == RecordFormatName(format)) return format;
  }
  return RecognizeFormat(first_line);
}

// Calls `take` with every record of a file. Bad lines, those that `take` refuses among them, are
// collected; the file's format is returned.
absl::StatusOr<RecordFormat> ForEachRecord(
    const std::string& path, const DatasetSpec& spec,
    const std::function<absl::Status(const Record&, int64_t line)>& take) {
  ASSIGN_OR_RETURN(LineReader reader, LineReader::Open(path));
  LineErrors errors(path);
  std::optional<RecordFormat> format;
  bool any_line = false;
  const auto take_line = [&](const LineReader::Line& line) -> absl::Status {
    RETURN_IF_ERROR(CheckText(line));
    if (!format.has_value()) {
      ASSIGN_OR_RETURN(format, FormatOf(spec, line.text));
    }
    ASSIGN_OR_RETURN(const Record record, ParseRecord(line.text, *format));
    return take(record, line.number);
  };
  LineReader::Line line;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, reader.Next(line));
    if (!more) break;
    if (IsBlank(line.text)) continue;
    any_line = true;
    if (absl::Status taken = take_line(line); !taken.ok()) errors.Add(line.number, taken);
  }
  RETURN_IF_ERROR(errors.Result());
  if (!any_line) return absl::InvalidArgumentError(absl::StrCat(path, ": the file has no records"));
  return *format;
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
                     " records within max_length ", spec_.max_length,
                     "; the first one is rendered as:\n", *first_rendering_));
  }

 private:
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
      sample.ids.resize(static_cast<size_t>(spec_.max_length));
      sample.supervised.resize(static_cast<size_t>(spec_.max_length));
    }
    const int64_t supervised = sample.SupervisedTokens();
    if (supervised == 0 || (too_long && spec_.overlength == "drop")) {
      ++report.dropped;
      return absl::OkStatus();
    }
    ++report.samples;
    report.truncated += too_long;
    report.tokens += static_cast<int64_t>(sample.ids.size());
    report.supervised_tokens += supervised;
    dataset_.samples.push_back(std::move(sample));
    return absl::OkStatus();
  }

  const DatasetSpec& spec_;
  const SampleBuilder& builder_;
  TokenizedDataset dataset_;
  std::optional<std::string> first_rendering_;
};

}  // namespace

int64_t Sample::SupervisedTokens() const {
  return std::count(supervised.begin(), supervised.end(), true);
}

absl::StatusOr<TokenizedDataset> LoadDataset(const std::string& path, const DatasetSpec& spec,
                                             const std::string& model_dir) {
  ASSIGN_OR_RETURN(const SampleBuilder builder, SampleBuilder::Load(model_dir, spec));
  Collector collector(spec, builder);
  ASSIGN_OR_RETURN(const RecordFormat format,
                   ForEachRecord(path, spec, [&](const Record& record, int64_t line) {
                     return collector.Add(record, line);
                   }));
  return collector.Finish(path, format);
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
