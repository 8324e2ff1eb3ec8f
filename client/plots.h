// Small plots made of characters.
#pragma once

#include <string>

namespace dropbp::client {

// A horizontal bar of exactly `width` columns that fills `share` in [0, 1] of it: in eighths of a
// column with Unicode block characters, else in whole columns of '#'. The rest is spaces.
std::string Bar(double share, int width, bool unicode);

}  // namespace dropbp::client
