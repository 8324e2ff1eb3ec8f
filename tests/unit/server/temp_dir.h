// A folder that is gone after the test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace dropbp::server {

class TempDir {
 public:
  TempDir() : path_(Make()) {}
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  static std::string Make() {
    std::string path = (std::filesystem::temp_directory_path() / "dropbp-XXXXXX").string();
    return mkdtemp(path.data()) == nullptr ? "" : path;
  }
  const std::string path_;
};

}  // namespace dropbp::server
