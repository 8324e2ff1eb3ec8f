// Runs a verb in this process with a text on stdin.
#pragma once

#include <gtest/gtest.h>

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace dropbp::trainer {

struct RunResult {
  int exit_code = 0;
  std::string out;
  std::string err;
};

inline RunResult RunWithText(int (*verb)(int, char**), std::vector<std::string> arguments,
                             const std::string& text) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  // The first call of it would take the streams' buffers away.
  std::ios::sync_with_stdio(false);
  std::istringstream in(text);
  std::ostringstream out;
  std::streambuf* const real_in = std::cin.rdbuf(in.rdbuf());
  std::streambuf* const real_out = std::cout.rdbuf(out.rdbuf());
  testing::internal::CaptureStderr();
  RunResult result;
  result.exit_code = verb(static_cast<int>(arguments.size()), argv.data());
  result.err = testing::internal::GetCapturedStderr();
  std::cin.rdbuf(real_in);
  std::cout.rdbuf(real_out);
  std::cin.clear();
  result.out = out.str();
  return result;
}

}  // namespace dropbp::trainer
