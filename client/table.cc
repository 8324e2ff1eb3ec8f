#include "client/table.h"

#include <algorithm>

namespace dropbp::client {
namespace {

constexpr int kGap = 2;

size_t DisplayWidth(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

std::string Spaces(size_t count) { return std::string(count, ' '); }

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
      pending += Spaces(kGap);
    }
    sink.stream << '\n';
  };
  print_row([&](size_t c) { return Cell(columns_[c].title, Colour::kFaint); });
  for (const auto& row : rows_) print_row([&](size_t c) { return row[c]; });
}

void Properties::Print(const Sink& sink) const {
  size_t width = 0;
  for (const auto& [label, value] : rows_) width = std::max(width, label.size());
  for (const auto& [label, value] : rows_) {
    sink.stream << sink.Paint(Colour::kFaint, label) << Spaces(width - label.size() + kGap)
                << sink.Paint(value.colour, value.text) << '\n';
  }
}

}  // namespace dropbp::client
