#include "tests/support/crashing_disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdarg>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace {

// What a loss of power takes along: bytes that were not synced, names of folders that were not.
struct Disk {
  int calls_left = -1;  // until the crash; negative: none comes
  bool power_loss = false;
  std::map<int, std::string> open_files;
  std::vector<std::string> unsynced_files;
  std::vector<std::pair<std::string, std::string>> unsynced_renames;
};
Disk disk;

}  // namespace

extern "C" {
int __real_open(const char* path, int flags, ...);
ssize_t __real_write(int fd, const void* bytes, size_t count);
int __real_fsync(int fd);
int __real_rename(const char* from, const char* to);
int __real_unlink(const char* path);
int __real_close(int fd);
}

namespace {

[[noreturn]] void Crash() {
  if (disk.power_loss) {
    for (const auto& [from, to] : disk.unsynced_renames) __real_rename(to.c_str(), from.c_str());
    for (const std::string& path : disk.unsynced_files) (void)!truncate(path.c_str(), 0);
  }
  _exit(dropbp::testing::kCrashed);
}

// Whether the crash is to come in this call.
bool LastCall() { return disk.calls_left >= 0 && disk.calls_left-- == 0; }

bool Armed() { return disk.calls_left >= 0; }

}  // namespace

extern "C" {
int __wrap_open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  if (LastCall()) Crash();
  const int fd = __real_open(path, flags, mode);
  if (Armed() && fd >= 0) disk.open_files[fd] = path;
  return fd;
}

ssize_t __wrap_write(int fd, const void* bytes, size_t count) {
  if (Armed()) disk.unsynced_files.push_back(disk.open_files[fd]);
  if (LastCall()) {
    (void)!__real_write(fd, bytes, count / 2);
    Crash();
  }
  return __real_write(fd, bytes, count);
}

int __wrap_fsync(int fd) {
  if (LastCall()) Crash();
  if (Armed()) {
    const std::string path = disk.open_files[fd];
    std::erase(disk.unsynced_files, path);
    const auto in_it = [&](const auto& rename) {
      return std::filesystem::path(rename.second).parent_path() ==
             std::filesystem::path(path + "/x").parent_path();
    };
    std::erase_if(disk.unsynced_renames, in_it);
  }
  return __real_fsync(fd);
}

int __wrap_rename(const char* from, const char* to) {
  if (LastCall()) Crash();
  if (Armed()) {
    disk.unsynced_renames.emplace_back(from, to);
    for (std::string& path : disk.unsynced_files) {
      if (path == from) path = to;
    }
  }
  return __real_rename(from, to);
}

int __wrap_unlink(const char* path) {
  if (LastCall()) Crash();
  return __real_unlink(path);
}

int __wrap_close(int fd) {
  if (LastCall()) Crash();
  return __real_close(fd);
}
}

namespace dropbp::testing {

void ArmCrash(int calls_left, bool power_loss) {
  disk = Disk();
  disk.calls_left = calls_left;
  disk.power_loss = power_loss;
}

bool CrashIsToCome() { return Armed(); }

}  // namespace dropbp::testing
