#include "worker/trainer/inspect/preview.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "worker/hf/json.h"

namespace dropbp::trainer {
namespace {

constexpr char kLoss[] = "32";  // green
constexpr char kNoLoss[] = "90";
constexpr char kUnderlined[] = ";4";

// Text of token i where it stands: decoders treat the first token of a text in another way.
std::string TokenText(const data::Sample& sample, size_t i, const data::Tokenizer& tokenizer) {
  if (i == 0) return tokenizer.Decode({sample.ids[0]}, /*skip_special=*/false);
  const std::string before = tokenizer.Decode({sample.ids[i - 1]}, /*skip_special=*/false);
  const std::string both =
      tokenizer.Decode({sample.ids[i - 1], sample.ids[i]}, /*skip_special=*/false);
  return absl::StartsWith(both, before) ? both.substr(before.size())
                                        : tokenizer.Decode({sample.ids[i]}, false);
}

// What a terminal would act on, made visible.
std::string Visible(const std::string& text) {
  std::string visible;
  for (const char c : text) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) {
      absl::StrAppendFormat(&visible, "\\x%02x", byte);
    } else {
      visible += c;
    }
  }
  return visible;
}

void AppendColoured(const std::string& text, bool loss, bool underlined, std::string& out) {
  const std::string on =
      absl::StrCat("\x1b[", loss ? kLoss : kNoLoss, underlined ? kUnderlined : "", "m");
  // A colour that reaches over a line break would colour the rest of the line.
  const std::string broken =
      absl::StrReplaceAll(Visible(text), {{"\n", absl::StrCat("\u23ce\x1b[0m\n", on)}});
  absl::StrAppend(&out, on, broken, "\x1b[0m");
}

}  // namespace

std::string PreviewSample(const data::Sample& sample, const data::Tokenizer& tokenizer,
                          bool coloured) {
  std::string out = absl::StrCat("line ", sample.line, ": ", sample.ids.size(), " tokens, ",
                                 sample.SupervisedTokens(), " carry loss\n");
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    const std::string text = TokenText(sample, i, tokenizer);
    const bool loss = sample.supervised[i];
    if (coloured) {
      AppendColoured(text, loss, i % 2 == 1, out);
    } else {
      absl::StrAppendFormat(&out, "%8d %c %s\n", sample.ids[i], loss ? '+' : '.',
                            hf::QuoteForError(text, 1000));
    }
  }
  return out + "\n";
}

std::string PreviewReport(const data::DatasetReport& report) {
  const double share = report.tokens == 0 ? 0
                                          : 100.0 * static_cast<double>(report.supervised_tokens) /
                                                static_cast<double>(report.tokens);
  std::string out = absl::StrFormat(
      "%d samples (%s), %d tokens, %d of them carry loss (%.1f %%), longest record %d tokens\n",
      report.samples, report.format, report.tokens, report.supervised_tokens, share,
      report.longest);
  if (report.rows > 0) {
    absl::StrAppendFormat(&out, "packed into %d rows, %.1f samples each\n", report.rows,
                          static_cast<double>(report.samples) / static_cast<double>(report.rows));
  }
  if (report.truncated > 0) absl::StrAppend(&out, report.truncated, " samples cut to max_length\n");
  if (report.dropped > 0) {
    absl::StrAppend(&out, report.dropped,
                    " records left out: too long, or nothing of them carries loss\n");
  }
  if (report.duplicates > 0)
    absl::StrAppend(&out, report.duplicates, " records left out: an earlier one is the same\n");
  return out;
}

}  // namespace dropbp::trainer
