#include "client/console.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>

#include "absl/strings/str_cat.h"

namespace dropbp::client {
namespace {

constexpr int kDefaultWidth = 100;

const char* ColourCode(Colour colour) {
  switch (colour) {
    case Colour::kRed:
      return "\x1b[31m";
    case Colour::kGreen:
      return "\x1b[32m";
    case Colour::kYellow:
      return "\x1b[33m";
    case Colour::kBlue:
      return "\x1b[34m";
    case Colour::kFaint:
      return "\x1b[2m";
    case Colour::kNone:
      break;
  }
  return "";
}

bool IsSet(const char* variable) {
  const char* value = getenv(variable);
  return value != nullptr && *value != '\0';
}

bool DumbTerminal() {
  const char* term = getenv("TERM");
  return term == nullptr || absl::string_view(term) == "dumb";
}

// A locale of our own: the process-wide one stays "C", so that numbers are read and written with a
// point.
bool Utf8Locale() {
  locale_t locale = newlocale(LC_CTYPE_MASK, "", nullptr);
  if (locale == nullptr) return false;
  const bool utf8 = absl::string_view(nl_langinfo_l(CODESET, locale)) == "UTF-8";
  freelocale(locale);
  return utf8;
}

Sink StandardSink(std::ostream& stream, int descriptor) {
  const bool terminal = isatty(descriptor) == 1 && !DumbTerminal();
  return Sink{.stream = stream,
              .terminal = terminal,
              .colour = terminal && !IsSet("NO_COLOR"),
              .unicode = Utf8Locale()};
}

}  // namespace

int Sink::Width() const {
  if (fixed_width > 0) return fixed_width;
  winsize size = {};
  const int descriptor = &stream == &std::cerr ? STDERR_FILENO : STDOUT_FILENO;
  if (terminal && ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return kDefaultWidth;
}

std::string Sink::Paint(Colour wanted, absl::string_view text) const {
  if (!colour || wanted == Colour::kNone) return std::string(text);
  return absl::StrCat(ColourCode(wanted), text, "\x1b[0m");
}

Console StandardConsole() {
  return Console{.out = StandardSink(std::cout, STDOUT_FILENO),
                 .err = StandardSink(std::cerr, STDERR_FILENO)};
}

}  // namespace dropbp::client
