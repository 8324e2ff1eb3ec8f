#include "worker/data/sampler.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/base/check.h"

namespace dropbp::data {

Sampler::Sampler(int64_t samples, int64_t global_batch_size, uint64_t seed,
                 std::vector<int64_t> lengths)
    : samples_(samples),
      global_batch_size_(global_batch_size),
      seed_(seed),
      lengths_(std::move(lengths)) {
  DROPBP_CHECK(samples > 0 && samples <= UINT32_MAX && global_batch_size > 0);
  DROPBP_CHECK(lengths_.empty() || lengths_.size() == static_cast<size_t>(samples));
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
    if (!lengths_.empty()) GroupByLength(epoch, random);
    cached_epoch_ = epoch;
  }
  return cached_order_;
}

// Note [Similar lengths]
void Sampler::GroupByLength(int64_t epoch, PhiloxStream& random) {
  constexpr int64_t kMostSteps = 50;
  const int64_t size = global_batch_size_;
  const int64_t begun = epoch * samples_ % size;  // of the epoch's first step, by earlier epochs
  const int64_t head = std::min(samples_, (size - begun) % size);
  const int64_t steps = (samples_ - head) / size;  // that are the epoch's alone
  const int64_t stretch = std::clamp<int64_t>(samples_ / (4 * size), 1, kMostSteps);
  const auto first = cached_order_.begin() + head;
  for (int64_t begin = 0; begin < steps; begin += stretch) {
    const int64_t end = std::min(begin + stretch, steps);
    std::stable_sort(first + begin * size, first + end * size,
                     [this](int64_t a, int64_t b) { return lengths_[a] < lengths_[b]; });
  }
  std::vector<int64_t> places(static_cast<size_t>(steps));
  std::iota(places.begin(), places.end(), 0);
  Shuffle(random, places);
  const std::vector<int64_t> sorted = cached_order_;
  for (int64_t step = 0; step < steps; ++step) {
    std::copy_n(sorted.begin() + head + step * size, size,
                first + places[static_cast<size_t>(step)] * size);
  }
}

}  // namespace dropbp::data
