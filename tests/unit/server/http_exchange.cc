#include "tests/unit/server/http_exchange.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace dropbp::server {

HttpAnswer Exchange(const std::string& address, const std::string& request) {
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) << address;
  to.sin_port = htons(static_cast<uint16_t>(port));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0) << address;
  // A server that refuses early may not read all of it.
  (void)!send(fd, request.data(), request.size(), MSG_NOSIGNAL);
  std::string bytes;
  char part[4096];
  for (ssize_t n = 0; (n = recv(fd, part, sizeof(part), 0)) > 0;) bytes.append(part, n);
  close(fd);
  HttpAnswer answer;
  const size_t end = bytes.find("\r\n\r\n");
  answer.headers = bytes.substr(0, end);
  if (end != std::string::npos) answer.body = bytes.substr(end + 4);
  if (bytes.empty()) return answer;
  EXPECT_TRUE(bytes.size() > 12 && absl::SimpleAtoi(bytes.substr(9, 3), &answer.code)) << bytes;
  return answer;
}

HttpAnswer HttpGet(const std::string& address, const std::string& path) {
  return Exchange(address, absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: ", address, "\r\n\r\n"));
}

}  // namespace dropbp::server
