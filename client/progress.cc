#include "client/progress.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/format.h"
#include "client/plots.h"
#include "core/base/text.h"

namespace dropbp::client {
namespace {

constexpr int kWidestBar = 30;
constexpr int kNarrowestBar = 8;
constexpr absl::string_view kGap = "  ";
// Of what belongs to the line above it.
constexpr absl::string_view kIndent = "          ";

double DoneShare(const v1::JobProgress& progress) {
  if (progress.total_steps() <= 0) return 0;
  return std::clamp(
      static_cast<double>(progress.step()) / static_cast<double>(progress.total_steps()), 0.0, 1.0);
}

// The figures in order of importance.
std::vector<std::string> Figures(const v1::JobProgress& progress) {
  std::vector<std::string> figures = {
      absl::StrCat("step ", progress.step(), "/", progress.total_steps()),
      FormatPercent(DoneShare(progress))};
  if (progress.step() == 0) return figures;
  figures.push_back(absl::StrCat("loss ", FormatLoss(progress.loss())));
  if (progress.evaluation().supervised_tokens() > 0) {
    figures.push_back(absl::StrCat("validation ", FormatLoss(progress.evaluation().loss())));
  }
  if (progress.tokens_per_second() > 0) {
    figures.push_back(absl::StrFormat("%.0f tok/s", progress.tokens_per_second()));
  }
  figures.push_back(absl::StrCat("drop ", FormatPercent(progress.realised_drop_rate())));
  if (progress.has_eta() && progress.step() < progress.total_steps()) {
    figures.push_back(absl::StrCat("eta ", FormatSeconds(FromProto(progress.eta()))));
  }
  return figures;
}

// Text of a model or a trainer in one line: nothing in it moves a cursor or changes a colour.
std::string OneLine(std::string line) {
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return absl::ascii_iscntrl(c); }, ' ');
  return line;
}

}  // namespace

std::vector<std::string> SampleLines(const v1::Evaluation& evaluation) {
  constexpr size_t kPromptBytes = 40;
  constexpr size_t kAnswerBytes = 80;
  std::vector<std::string> lines;
  for (const v1::SampleText& sample : evaluation.samples()) {
    lines.push_back(absl::StrCat(kIndent, Shortened(OneLine(sample.prompt()), kPromptBytes),
                                 "  ->  ", Shortened(OneLine(sample.text()), kAnswerBytes)));
  }
  return lines;
}

std::string ProgressText(const v1::JobProgress& progress) {
  return absl::StrJoin(Figures(progress), kGap);
}

std::string ProgressBar(const v1::JobProgress& progress, int width, bool unicode) {
  std::vector<std::string> figures = Figures(progress);
  const auto room = [&] {
    return width - static_cast<int>(absl::StrJoin(figures, kGap).size() + kGap.size()) -
           2;  // 2: the bar's ends
  };
  while (room() < kNarrowestBar && figures.size() > 1) figures.pop_back();
  const std::string text = absl::StrJoin(figures, kGap);
  if (room() < 1) return text.substr(0, std::max(0, width));
  return absl::StrCat("[", Bar(DoneShare(progress), std::min(room(), kWidestBar), unicode), "]",
                      kGap, text);
}

std::vector<std::string> EventLines(const v1::JobEvent& event) {
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(event.message(), '\n')) {
    lines.push_back(OneLine(std::string(line)));
  }
  return lines;
}

std::string EventText(const v1::JobEvent& event, const Sink& sink) {
  const std::string state = StateName(event.state());
  const std::string padding(std::max<int>(1, 12 - static_cast<int>(state.size())), ' ');
  std::string text = absl::StrCat(sink.Paint(Colour::kFaint, FormatClock(event.time())), kGap,
                                  sink.Paint(StateColour(event.state()), state), padding);
  const std::vector<std::string> lines = EventLines(event);
  if (event.attempt() > 1 && !absl::StartsWith(lines[0], "Attempt "))
    absl::StrAppend(&text, "attempt ", event.attempt(), ": ");
  absl::StrAppend(&text, lines[0]);
  while (text.back() == ' ') text.pop_back();
  for (size_t i = 1; i < lines.size(); ++i) absl::StrAppend(&text, "\n", kIndent, lines[i]);
  return text;
}

}  // namespace dropbp::client
