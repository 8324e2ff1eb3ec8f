// A console whose output a test can read.
#pragma once

#include <sstream>
#include <string>

#include "client/console.h"

namespace dropbp::client {

struct CapturedConsole {
  std::ostringstream out_text;
  std::ostringstream err_text;

  Console console() { return {.out = Sink{out_text}, .err = Sink{err_text}}; }
  std::string out() const { return out_text.str(); }
  std::string err() const { return err_text.str(); }
};

}  // namespace dropbp::client
