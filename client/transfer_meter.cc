#include "client/transfer_meter.h"

#include "absl/strings/str_cat.h"
#include "client/format.h"
#include "core/base/format_bytes.h"

namespace dropbp::client {

void TransferMeter::Show(int64_t done, int64_t total) {
  if (!sink_.terminal || absl::Now() < next_draw_) return;
  Clear();
  const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1;
  sink_.stream << what_ << "  " << FormatPercent(share) << " of " << FormatBytes(total)
               << std::flush;
  drawn_ = true;
  next_draw_ = absl::Now() + absl::Milliseconds(100);
}

void TransferMeter::Clear() {
  if (drawn_) sink_.stream << "\r\x1b[2K" << std::flush;
  drawn_ = false;
}

}  // namespace dropbp::client
