// A process that ends in the middle of one of its calls of the file system. The linker puts
// functions of crashing_disk.cc before the C library's open, write, fsync, rename, unlink and close
// (--wrap), in the test and in the static libraries that it links: calls that shared libraries
// make, such as SQLite, are not among them.
#pragma once

namespace dropbp::testing {

// Exit code of a process that ended so.
inline constexpr int kCrashed = 42;

// Lets this process end in the call after the next `calls_left`. `power_loss`: bytes and names that
// were not synced are lost. Meant for a child process; from here on only one thread may use files.
void ArmCrash(int calls_left, bool power_loss);
// Whether the crash was armed and has not come yet.
bool CrashIsToCome();

}  // namespace dropbp::testing
