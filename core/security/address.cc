#include "core/security/address.h"

#include <arpa/inet.h>

#include <limits>
#include <string>

#include "absl/strings/numbers.h"

namespace dropbp {

bool IsLoopbackAddress(std::string_view address) {
  if (address.rfind("unix:", 0) == 0) return true;
  const std::string host(address.substr(0, address.rfind(':')));
  if (host == "localhost" || host == "[::1]") return true;
  in_addr ip = {};
  return inet_pton(AF_INET, host.c_str(), &ip) == 1 && (ntohl(ip.s_addr) >> 24) == 127;
}

std::optional<uint16_t> PortOf(std::string_view address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == std::string_view::npos) return std::nullopt;
  if (!absl::SimpleAtoi(std::string(address.substr(colon + 1)), &port)) return std::nullopt;
  if (port > std::numeric_limits<uint16_t>::max()) return std::nullopt;
  return static_cast<uint16_t>(port);
}

}  // namespace dropbp
