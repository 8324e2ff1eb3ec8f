// Figures as people read them. All return plain ASCII.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "client/console.h"
#include "dropbp/v1/jobs.pb.h"

namespace dropbp::client {

// "7s", "1m 32s", "2h 05m", "3d 04h"; negative is "0s".
std::string FormatSeconds(absl::Duration duration);
// "950", "1.23 M", "4.56 T": three figures and a decimal prefix; for FLOPs and tokens.
std::string FormatCount(double count);
// "50.0%".
std::string FormatPercent(double share);
// Four decimals, or scientific where those would show nothing.
std::string FormatLoss(double loss);

absl::Time FromProto(const google::protobuf::Timestamp& time);
absl::Duration FromProto(const google::protobuf::Duration& duration);
// Local "2026-01-31 12:34:56"; "-" for an absent time.
std::string FormatTime(const google::protobuf::Timestamp& time);
// Local "12:34:56".
std::string FormatClock(const google::protobuf::Timestamp& time);

// "RUNNING".
std::string StateName(v1::Job::State state);
Colour StateColour(v1::Job::State state);

}  // namespace dropbp::client
