// Where a command writes: data to `out`, talk to `err`, and what each of the two can show.
#pragma once

#include <ostream>
#include <string>

#include "absl/strings/string_view.h"

namespace dropbp::client {

enum class Colour { kNone, kRed, kGreen, kYellow, kBlue, kFaint };

// One output stream and what is behind it.
struct Sink {
  std::ostream& stream;
  bool terminal = false;  // a person looks: a line may be redrawn
  bool colour = false;
  bool unicode = false;  // block characters may be used
  int fixed_width = 0;   // columns; 0: ask the terminal each time, 100 where there is none

  // Columns of the terminal now.
  int Width() const;
  // `text` with terminal colour codes, or as it is where colours are off.
  std::string Paint(Colour colour, absl::string_view text) const;
};

struct Console {
  Sink out;
  Sink err;
};

// Standard output and error. Colours only on a terminal that is not "dumb", and never when NO_COLOR
// is set and not empty (no-color.org); block characters only in a UTF-8 locale.
Console StandardConsole();

}  // namespace dropbp::client
