#include "tests/support/free_address.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace dropbp::testing {
namespace {

// Linux gives connections ports from 32768 on.
constexpr int kFirstPort = 15000;
constexpr int kLastPort = 32000;
constexpr int kTries = 1000;

bool IsFree(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  DROPBP_CHECK(fd >= 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return bound;
}

}  // namespace

std::string FreeAddress() {
  static std::set<int> given;
  std::random_device random;
  std::uniform_int_distribution<int> ports(kFirstPort, kLastPort);
  for (int i = 0; i < kTries; ++i) {
    const int port = ports(random);
    if (IsFree(port) && given.insert(port).second) return absl::StrCat("127.0.0.1:", port);
  }
  CheckFailed(__FILE__, __LINE__, "no free port");
}

}  // namespace dropbp::testing
