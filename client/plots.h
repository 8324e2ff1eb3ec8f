// Small plots made of characters.
#pragma once

#include <string>
#include <vector>

namespace dropbp::client {

// A horizontal bar of exactly `width` columns that fills `share` in [0, 1] of it: in eighths of a
// column with Unicode block characters, else in whole columns of '#'. The rest is spaces.
std::string Bar(double share, int width, bool unicode);

// A column for each value, `height` lines from the top: a column fills value / highest of the
// height, in eighths of a line with Unicode block characters, else in whole lines of '#'. No
// trailing spaces. Values are >= 0; a highest of 0 draws nothing.
std::vector<std::string> Columns(const std::vector<double>& values, double highest, int height,
                                 bool unicode);

}  // namespace dropbp::client
