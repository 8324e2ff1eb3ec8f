// How fast a tokenizer encodes the lines of a file on one core, for tokenizer_speed.py: after each
// line on stdin ("go") encodes the file once and prints the seconds that it took and the ids it
// made. Lines keep their line break, so that every byte of the file counts.
//   tokenize_speed MODEL_DIR FILE
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "core/base/files.h"
#include "worker/data/tokenizer.h"

namespace {

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    lines.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return lines;
}

int Serve(const dropbp::data::Tokenizer& tokenizer, const std::vector<std::string>& lines) {
  for (std::string command; std::getline(std::cin, command);) {
    size_t ids = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (const std::string& line : lines) {
      const auto encoded = tokenizer.Encode(line);
      if (!encoded.ok()) {
        std::cerr << encoded.status() << '\n';
        return 1;
      }
      ids += encoded->size();
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("%.6f %zu\n", took.count(), ids);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: tokenize_speed MODEL_DIR FILE\n";
    return 2;
  }
  const auto tokenizer = dropbp::data::Tokenizer::Load(argv[1]);
  const auto text = dropbp::ReadFile(argv[2], int64_t{1} << 30);
  if (!tokenizer.ok() || !text.ok()) {
    std::cerr << (tokenizer.ok() ? text.status() : tokenizer.status()) << '\n';
    return 1;
  }
  return Serve(**tokenizer, Lines(*text));
}
