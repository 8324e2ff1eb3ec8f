// One HTTP exchange over a plain socket, byte for byte.
#pragma once

#include <string>

namespace dropbp::server {

struct HttpAnswer {
  int code = 0;         // 0: the connection was closed without an answer
  std::string headers;  // status line included
  std::string body;
};

// Sends `request` as it is to "127.0.0.1:port" and reads until the server closes.
HttpAnswer Exchange(const std::string& address, const std::string& request);

// "GET <path>", with the server's own address as its host.
HttpAnswer HttpGet(const std::string& address, const std::string& path);

}  // namespace dropbp::server
