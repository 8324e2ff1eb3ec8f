// Suggests the field that was meant.
#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "core/base/text.h"
#include "core/job/job_fields.h"

namespace dropbp {
namespace {

// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(above, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({row[j - 1] + 1, above[j] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::string_view LastKey(std::string_view path) { return path.substr(path.rfind('.') + 1); }

std::vector<std::string_view> KnownNames() {
  std::vector<std::string_view> names = {"name", "dataset.file", "dataset.validation_file"};
  std::set<std::string_view> sections;
  for (const JobField& field : JobFields()) {
    names.push_back(field.path);
    if (const size_t dot = field.path.find('.'); dot != std::string_view::npos) {
      sections.insert(field.path.substr(0, dot));
    }
  }
  names.insert(names.end(), sections.begin(), sections.end());
  return names;
}

}  // namespace

std::string NearestJobField(std::string_view unknown) {
  constexpr size_t kLongestName = 100;
  if (unknown.size() > kLongestName) return "";
  const std::string wanted =
      absl::StrReplaceAll(absl::AsciiStrToLower(AbslView(unknown)), {{"-", "_"}});
  const std::string_view key = LastKey(wanted);
  size_t best = std::max<size_t>(1, key.size() / 3) + 1;
  std::string nearest;
  for (std::string_view name : KnownNames()) {
    // A right key in the wrong place counts as one mistake.
    const size_t distance =
        std::min(EditDistance(wanted, name), 1 + EditDistance(key, LastKey(name)));
    if (distance < best) {
      best = distance;
      nearest = std::string(name);
    }
  }
  return nearest;
}

}  // namespace dropbp
