#include "core/security/address.h"

#include <arpa/inet.h>

#include <string>

namespace dropbp {

bool IsLoopbackAddress(std::string_view address) {
  if (address.rfind("unix:", 0) == 0) return true;
  const std::string host(address.substr(0, address.rfind(':')));
  if (host == "localhost" || host == "[::1]") return true;
  in_addr ip = {};
  return inet_pton(AF_INET, host.c_str(), &ip) == 1 && (ntohl(ip.s_addr) >> 24) == 127;
}

}  // namespace dropbp
