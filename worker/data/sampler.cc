#include "worker/data/sampler.h"

#include <numeric>

#include "core/base/check.h"
#include "core/base/philox.h"

namespace dropbp::data {
Sampler::Sampler(int64_t samples, int64_t global_batch_size, uint64_t seed)
    : samples_(samples), global_batch_size_(global_batch_size), seed_(seed) {
  DROPBP_CHECK(samples > 0 && samples <= UINT32_MAX && global_batch_size > 0);
}

std::vector<int64_t> Sampler::GlobalBatch(int64_t step) {
  std::vector<int64_t> batch;
  batch.reserve(static_cast<size_t>(global_batch_size_));
  for (int64_t i = 0; i < global_batch_size_; ++i) {
    const int64_t position = step * global_batch_size_ + i;
    batch.push_back(Epoch(position / samples_)[static_cast<size_t>(position % samples_)]);
  }
  return batch;
}

const std::vector<int64_t>& Sampler::Epoch(int64_t epoch) {
  if (epoch != cached_epoch_) {
    cached_order_.resize(static_cast<size_t>(samples_));
    std::iota(cached_order_.begin(), cached_order_.end(), 0);
    PhiloxStream random(seed_, static_cast<uint64_t>(epoch), kDataOrderStream);
    Shuffle(random, cached_order_);
    cached_epoch_ = epoch;
  }
  return cached_order_;
}

}  // namespace dropbp::data
