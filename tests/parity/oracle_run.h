// Runs a Python script of this folder that writes what the reference implementation says.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace dropbp {

inline std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

inline std::string SmolLm2Folder() {
  return Environment("DROPBP_MODELS") + "/smollm2-135m-instruct";
}

// An empty folder for the output of an oracle.
inline std::string OracleFolder(const std::string& name) {
  const std::string path = testing::TempDir() + "dropbp-" + name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

// Runs tests/parity/<script> with the oracles' Python; false if it fails. What it prints goes to
// the test's output.
inline bool RunOracle(const std::string& script, const std::vector<std::string>& arguments) {
  std::string command =
      absl::StrCat("'", Environment("DROPBP_ORACLES"), "/bin/python' '",
                   Environment("DROPBP_SOURCE_DIR"), "/tests/parity/", script, "'");
  for (const std::string& argument : arguments) command.append(" '").append(argument).append("'");
  return std::system(command.c_str()) == 0;
}

// The JSON values of a file, one a line.
inline std::vector<nlohmann::json> ReadJsonLines(const std::string& path) {
  std::vector<nlohmann::json> values;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) values.push_back(nlohmann::json::parse(line));
  return values;
}

}  // namespace dropbp
