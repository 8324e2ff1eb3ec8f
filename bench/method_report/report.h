// One table of the report: the same rows as JSON and as Markdown.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace dropbp::bench {

struct Column {
  static constexpr int kThreeDigits = -1;

  std::string key;              // of the value in a row, in JSON too
  std::string title;            // in Markdown
  int decimals = kThreeDigits;  // of a number; kThreeDigits: three significant digits
};

struct Section {
  std::string key;  // in JSON
  std::string heading;
  std::string title;  // what the table shows, in a sentence or two
  std::vector<Column> columns;
  std::vector<nlohmann::ordered_json> rows = {};  // objects
};

// A heading of the second level, the title, then a table with aligned cells; "-" where a row lacks
// the value. Ends with a line break.
std::string ToMarkdown(const Section& section);

// {"key": {"title": ..., "rows": [...]}, ...}, in order.
nlohmann::ordered_json ToJson(const std::vector<Section>& sections);

}  // namespace dropbp::bench
