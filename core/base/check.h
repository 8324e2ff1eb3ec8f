// Broken promises: conditions that only a bug in this program can violate. Expected failures are
// absl::Status.
#pragma once

#include <sstream>
#include <string>

namespace dropbp {

// Prints "CHECK failed: ..." to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const std::string& what);

template <typename A, typename B>
std::string DescribeCheck(const char* expression, const A& a, const B& b) {
  std::ostringstream out;
  out << expression << " (" << a << " vs. " << b << ")";
  return out.str();
}

}  // namespace dropbp

// Ends the process if `condition` does not hold.
#define DROPBP_CHECK(condition)                                              \
  do {                                                                       \
    if (!(condition)) ::dropbp::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)

// Ends the process, printing both values, if they differ.
#define DROPBP_CHECK_EQ(a, b)                                                                     \
  do {                                                                                            \
    if (!((a) == (b)))                                                                            \
      ::dropbp::CheckFailed(__FILE__, __LINE__, ::dropbp::DescribeCheck(#a " == " #b, (a), (b))); \
  } while (false)
