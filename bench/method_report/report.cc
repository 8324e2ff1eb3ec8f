#include "bench/method_report/report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace dropbp::bench {
namespace {

using Json = nlohmann::ordered_json;
using Cells = std::vector<std::string>;

std::string Cell(const Json& row, const Column& column) {
  const auto value = row.find(column.key);
  if (value == row.end() || value->is_null()) return "-";
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_number_float()) return value->dump();
  const double number = value->get<double>();
  return column.decimals == Column::kThreeDigits ? absl::StrFormat("%.3g", number)
                                                 : absl::StrFormat("%.*f", column.decimals, number);
}

std::vector<Cells> AllCells(const Section& section) {
  std::vector<Cells> lines(1);
  for (const Column& column : section.columns) lines[0].push_back(column.title);
  for (const Json& row : section.rows) {
    Cells cells;
    for (const Column& column : section.columns) cells.push_back(Cell(row, column));
    lines.push_back(std::move(cells));
  }
  return lines;
}

}  // namespace

std::string ToMarkdown(const Section& section) {
  std::vector<Cells> lines = AllCells(section);
  std::vector<size_t> widths(section.columns.size(), 3);
  for (const Cells& cells : lines) {
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  Cells rule;
  for (const size_t width : widths) rule.push_back(std::string(width, '-'));
  lines.insert(lines.begin() + 1, std::move(rule));
  std::string text = absl::StrCat("## ", section.heading, "\n", section.title, "\n\n");
  for (const Cells& cells : lines) {
    for (size_t i = 0; i < cells.size(); ++i) {
      absl::StrAppend(&text, i == 0 ? "| " : " | ", std::string(widths[i] - cells[i].size(), ' '),
                      cells[i]);
    }
    absl::StrAppend(&text, " |\n");
  }
  return text;
}

Json ToJson(const std::vector<Section>& sections) {
  Json json = Json::object();
  for (const Section& section : sections) {
    json[section.key] = {{"title", section.title}, {"rows", section.rows}};
  }
  return json;
}

}  // namespace dropbp::bench
