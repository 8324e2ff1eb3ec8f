#include "tests/support/processes.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace dropbp::testing {
namespace {

namespace fs = std::filesystem;

std::string Content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool HasVariable(const fs::path& process, const std::string& variable) {
  const std::string environment = absl::StrCat(std::string(1, '\0'), Content(process / "environ"));
  return absl::StrContains(environment,
                           absl::StrCat(std::string(1, '\0'), variable, std::string(1, '\0')));
}

}  // namespace

std::vector<FoundProcess> FindProcesses(const std::string& variable) {
  std::vector<FoundProcess> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    FoundProcess process;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &process.pid)) continue;
    if (!HasVariable(entry.path(), variable)) continue;
    process.program = fs::read_symlink(entry.path() / "exe", error).filename().string();
    process.command_line = Content(entry.path() / "cmdline");
    std::replace(process.command_line.begin(), process.command_line.end(), '\0', ' ');
    found.push_back(std::move(process));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.pid < b.pid; });
  return found;
}

}  // namespace dropbp::testing
