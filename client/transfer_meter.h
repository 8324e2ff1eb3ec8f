// Shows how far a file transfer is, on a terminal and only if it takes long enough to be noticed.
#pragma once

#include <string>

#include "absl/time/clock.h"
#include "client/console.h"

namespace dropbp::client {

class TransferMeter {
 public:
  // `what`: for example "upload of data.jsonl".
  TransferMeter(std::string what, const Sink& sink) : what_(std::move(what)), sink_(sink) {}
  ~TransferMeter() { Clear(); }
  TransferMeter(const TransferMeter&) = delete;
  TransferMeter& operator=(const TransferMeter&) = delete;

  void Show(int64_t done, int64_t total);

 private:
  void Clear();

  const std::string what_;
  const Sink sink_;
  absl::Time next_draw_ = absl::Now() + absl::Milliseconds(100);
  bool drawn_ = false;
};

}  // namespace dropbp::client
