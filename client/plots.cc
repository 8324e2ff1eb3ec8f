#include "client/plots.h"

#include <algorithm>
#include <cmath>

namespace dropbp::client {
namespace {

constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};

constexpr const char* kEighthsUp[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

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

std::vector<std::string> Columns(const std::vector<double>& values, double highest, int height,
                                 bool unicode) {
  const int parts = unicode ? 8 : 1;
  std::vector<std::string> lines;
  for (int line = height - 1; line >= 0; --line) {
    std::string& text = lines.emplace_back();
    for (double value : values) {
      const double share = highest > 0 && value > 0 ? std::min(value / highest, 1.0) : 0;
      const int filled = static_cast<int>(std::lround(share * height * parts));
      const int here = std::clamp(filled - line * parts, 0, parts);
      text += unicode ? kEighthsUp[here] : here > 0 ? "#" : " ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
  }
  return lines;
}

}  // namespace dropbp::client
