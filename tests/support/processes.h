// Looking for processes in /proc.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace dropbp::testing {

struct FoundProcess {
  pid_t pid = 0;
  std::string program;       // base name of the executable
  std::string command_line;  // words separated by spaces
};

// Living processes whose environment holds "`variable`", for example "NAME=value", by pid. Children
// inherit it, so these are all descendants of a process that was started with it, orphans included.
std::vector<FoundProcess> FindProcesses(const std::string& variable);

}  // namespace dropbp::testing
