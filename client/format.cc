#include "client/format.h"

#include <cmath>
#include <iterator>

#include "absl/strings/str_format.h"

namespace dropbp::client {

std::string FormatSeconds(absl::Duration duration) {
  const int64_t seconds =
      std::max<int64_t>(0, absl::ToInt64Seconds(duration + absl::Milliseconds(500)));
  if (seconds < 60) return absl::StrFormat("%ds", seconds);
  if (seconds < 3600) return absl::StrFormat("%dm %02ds", seconds / 60, seconds % 60);
  if (seconds < 86400) return absl::StrFormat("%dh %02dm", seconds / 3600, seconds / 60 % 60);
  return absl::StrFormat("%dd %02dh", seconds / 86400, seconds / 3600 % 24);
}

std::string FormatCount(double count) {
  constexpr const char* kPrefixes[] = {"", " k", " M", " G", " T", " P", " E"};
  size_t prefix = 0;
  for (; std::abs(count) >= 1000 && prefix + 1 < std::size(kPrefixes); ++prefix) count /= 1000;
  const double rounded = std::round(count);
  if (prefix == 0 && count == rounded) return absl::StrFormat("%.0f", count);
  const int decimals = std::abs(count) >= 100 ? 0 : std::abs(count) >= 10 ? 1 : 2;
  return absl::StrFormat("%.*f%s", decimals, count, kPrefixes[prefix]);
}

std::string FormatPercent(double share) { return absl::StrFormat("%.1f%%", share * 100); }

std::string FormatLoss(double loss) {
  if (!std::isfinite(loss)) return absl::StrFormat("%f", loss);
  return std::abs(loss) < 0.001 && loss != 0 ? absl::StrFormat("%.2e", loss)
                                             : absl::StrFormat("%.4f", loss);
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

std::string FormatTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", FromProto(time), absl::LocalTimeZone());
}

std::string FormatClock(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%H:%M:%S", FromProto(time), absl::LocalTimeZone());
}

std::string StateName(v1::Job::State state) { return v1::Job::State_Name(state); }

Colour StateColour(v1::Job::State state) {
  switch (state) {
    case v1::Job::SUCCEEDED:
      return Colour::kGreen;
    case v1::Job::FAILED:
      return Colour::kRed;
    case v1::Job::RESTARTING:
    case v1::Job::CANCELLING:
    case v1::Job::CANCELLED:
    case v1::Job::PAUSING:
    case v1::Job::PAUSED:
      return Colour::kYellow;
    case v1::Job::RUNNING:
      return Colour::kBlue;
    default:
      return Colour::kNone;
  }
}

}  // namespace dropbp::client
