// Addresses for programs that must be told one before they start.
#pragma once

#include <string>

namespace dropbp::testing {

// "127.0.0.1:PORT" that nobody listens at. The port is outside the range that the system takes
// ports of connections from, so that only another program that was given it could take it.
std::string FreeAddress();

}  // namespace dropbp::testing
