#include "worker/trainer/collective/buckets.h"

namespace dropbp::trainer {

std::vector<Bucket> MakeBuckets(const std::vector<TrainableParameter>& parameters,
                                int64_t bucket_bytes) {
  std::vector<Bucket> buckets;
  for (size_t i = parameters.size(); i-- > 0;) {
    const int64_t elements = parameters[i].value.numel();
    const bool fits = !buckets.empty() && buckets.back().unit == parameters[i].unit &&
                      buckets.back().bytes() + elements * 4 <= bucket_bytes;
    if (!fits) buckets.push_back(Bucket{.unit = parameters[i].unit, .parameters = {}});
    buckets.back().parameters.push_back(i);
    buckets.back().elements += elements;
  }
  return buckets;
}

std::vector<bool> LiveUnits(const std::vector<MaskRow>& rows) {
  std::vector<bool> live(rows.empty() ? 0 : rows.front().size(), false);
  for (const MaskRow& row : rows) {
    for (size_t unit = 0; unit < row.size(); ++unit) {
      if (row[unit]) live[unit] = true;
    }
  }
  return live;
}

bool IsLive(const std::vector<bool>& live_units, int unit) { return unit < 0 || live_units[unit]; }

int64_t LiveBytes(const std::vector<Bucket>& buckets, const std::vector<bool>& live_units) {
  int64_t bytes = 0;
  for (const Bucket& bucket : buckets) {
    if (IsLive(live_units, bucket.unit)) bytes += bucket.bytes();
  }
  return bytes;
}

int64_t DenseBytes(const std::vector<Bucket>& buckets) {
  int64_t bytes = 0;
  for (const Bucket& bucket : buckets) bytes += bucket.bytes();
  return bytes;
}

}  // namespace dropbp::trainer
