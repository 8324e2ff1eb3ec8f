#include "core/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace dropbp {

void CheckFailed(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "CHECK failed: %s:%d: %s\n", file, line, what.c_str());
  std::abort();
}

}  // namespace dropbp
