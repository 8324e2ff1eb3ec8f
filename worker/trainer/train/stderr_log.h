// The island's log: lines on stderr, which the agent keeps and serves.
#pragma once

#include <string>

namespace dropbp::trainer {

// Writes "<RFC 3339 time> <message>" and a newline in one call. Thread-safe.
void LogLine(const std::string& message);

}  // namespace dropbp::trainer
