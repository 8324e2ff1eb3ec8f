#include "client/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace dropbp::client {
namespace {

constexpr int kColumnGap = 2;
constexpr size_t kNarrowestValue = 20;

size_t DisplayWidth(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

std::string Spaces(size_t count) { return std::string(count, ' '); }

// Breaks a line at spaces where it is longer than `width` columns; a longer word keeps its own.
void AddWrapped(absl::string_view line, size_t width, std::vector<std::string>& lines) {
  if (DisplayWidth(line) <= width) return lines.push_back(std::string(line));
  std::string begun;
  for (const absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
    if (!begun.empty() && DisplayWidth(begun) + 1 + DisplayWidth(word) > width)
      lines.push_back(std::exchange(begun, ""));
    absl::StrAppend(&begun, begun.empty() ? "" : " ", word);
  }
  lines.push_back(std::move(begun));
}

std::vector<std::string> LinesOf(const std::string& value, size_t width) {
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(value, '\n')) AddWrapped(line, width, lines);
  return lines;
}

}  // namespace

void Table::Print(const Sink& sink) const {
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    size_t width = DisplayWidth(columns_[c].title);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[c].text));
    widths.push_back(width);
  }
  const auto print_row = [&](const auto& cell_at) {
    std::string pending;  // spaces that are only written if something follows
    for (size_t c = 0; c < columns_.size(); ++c) {
      const Cell cell = cell_at(c);
      const std::string padding = Spaces(widths[c] - DisplayWidth(cell.text));
      const bool right = columns_[c].align == Align::kRight;
      if (right) pending += padding;
      if (!cell.text.empty()) {
        sink.stream << pending << sink.Paint(cell.colour, cell.text);
        pending.clear();
      }
      if (!right) pending += padding;
      pending += Spaces(kColumnGap);
    }
    sink.stream << '\n';
  };
  print_row([&](size_t c) { return Cell(columns_[c].title, Colour::kFaint); });
  for (const auto& row : rows_) print_row([&](size_t c) { return row[c]; });
}

void Properties::Print(const Sink& sink) const {
  size_t width = 0;
  for (const auto& [label, value] : rows_) width = std::max(width, label.size());
  const size_t indent = width + kColumnGap;
  const size_t columns = static_cast<size_t>(std::max(sink.Width(), 0));
  const size_t room =
      sink.terminal ? std::max(columns, indent + kNarrowestValue) - indent : std::string::npos;
  for (const auto& [label, value] : rows_) {
    sink.stream << sink.Paint(Colour::kFaint, label) << Spaces(indent - label.size());
    const std::vector<std::string> lines = LinesOf(value.text, room);
    for (size_t i = 0; i < lines.size(); ++i) {
      if (i > 0) sink.stream << Spaces(indent);
      sink.stream << sink.Paint(value.colour, lines[i]) << '\n';
    }
  }
}

}  // namespace dropbp::client
