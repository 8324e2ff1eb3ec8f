#include "worker/data/packing.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "core/base/check.h"

namespace dropbp::data {

std::vector<Row> PackRows(absl::Span<const int64_t> lengths, int64_t row_length) {
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return lengths[a] > lengths[b]; });
  std::vector<Row> rows;
  std::set<std::pair<int64_t, size_t>> room;  // free tokens and index of each row that has some
  for (const int64_t sample : order) {
    const int64_t length = lengths[sample];
    DROPBP_CHECK(length > 0 && length <= row_length);
    auto best = room.lower_bound({length, 0});
    size_t row = rows.size();
    int64_t left = row_length - length;
    if (best == room.end()) {
      rows.emplace_back();
    } else {
      row = best->second;
      left = best->first - length;
      room.erase(best);
    }
    rows[row].push_back(sample);
    if (left > 0) room.insert({left, row});
  }
  for (Row& row : rows) std::sort(row.begin(), row.end());
  std::sort(rows.begin(), rows.end());
  return rows;
}

void MakeRows(const DatasetSpec& spec, TokenizedDataset& dataset) {
  if (spec.packing) {
    std::vector<int64_t> lengths;
    for (const Sample& sample : dataset.samples)
      lengths.push_back(static_cast<int64_t>(sample.ids.size()));
    dataset.rows = PackRows(lengths, spec.max_length);
    dataset.report.rows = static_cast<int64_t>(dataset.rows.size());
    return;
  }
  dataset.rows.resize(dataset.samples.size());
  for (size_t i = 0; i < dataset.rows.size(); ++i) dataset.rows[i] = {static_cast<int64_t>(i)};
}

}  // namespace dropbp::data
