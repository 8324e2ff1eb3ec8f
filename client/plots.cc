#include "client/plots.h"

#include <algorithm>
#include <cmath>

namespace dropbp::client {
namespace {

constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};

}  // namespace

std::string Bar(double share, int width, bool unicode) {
  if (!(share > 0)) share = 0;  // also not a number
  const int parts = unicode ? 8 : 1;
  const int filled = static_cast<int>(std::lround(std::min(share, 1.0) * width * parts));
  std::string bar;
  for (int i = 0; i < filled / parts; ++i) bar += unicode ? "█" : "#";
  int columns = filled / parts;
  if (filled % parts > 0) {
    bar += kEighths[filled % parts];
    ++columns;
  }
  return bar.append(width - columns, ' ');
}

}  // namespace dropbp::client
