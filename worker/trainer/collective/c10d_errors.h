// The one door where exceptions of torch and c10d leave the collectives as Status.
#pragma once

#include <functional>
#include <string>

#include "core/base/status.h"

namespace dropbp::trainer {

// Runs `collective`. What it throws becomes "<where>: <message>": INVALID_ARGUMENT for something
// this build does not offer, else UNAVAILABLE, since a peer that is gone, slow or unreachable is
// what makes collectives fail.
absl::Status RunCollective(const std::string& where, const std::function<void()>& collective);

}  // namespace dropbp::trainer
