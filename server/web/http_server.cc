#include "server/web/http_server.h"

#include <civetweb.h>
#include <spdlog/spdlog.h>

#include <string_view>

#include "absl/strings/str_cat.h"

namespace dropbp::server {
namespace {

// Answers take milliseconds and connections are not kept; what needs threads are slow clients.
constexpr const char* kThreads = "16";
// A client that sends or reads slower than this is cut off.
constexpr const char* kTimeoutMs = "5000";
constexpr const char* kLargestRequestBytes = "8192";

// What the page may do: load its own files, ask its own server, nothing else. No script of anybody
// else runs in it, even if a job's name or message were HTML, and nobody puts it into a frame.
constexpr const char kSecurityHeaders[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cache-Control: no-store\r\n";

std::string TextOrEmpty(const char* text) { return text == nullptr ? "" : text; }

void Send(mg_connection* connection, const HttpResponse& response, bool with_body) {
  std::string bytes = absl::StrCat(
      "HTTP/1.1 ", response.code, " ", mg_get_response_code_text(connection, response.code), "\r\n",
      "Content-Type: ", response.content_type, "\r\nContent-Length: ", response.body.size(), "\r\n",
      response.code == 405 ? "Allow: GET, HEAD\r\n" : "", kSecurityHeaders,
      "Connection: close\r\n\r\n");
  if (with_body) bytes += response.body;
  mg_write(connection, bytes.data(), bytes.size());
}

}  // namespace

int HttpServer::OnRequest(mg_connection* connection) {
  const mg_request_info& info = *mg_get_request_info(connection);
  const auto* server = static_cast<const HttpServer*>(info.user_data);
  const std::string_view method = info.request_method;
  if (method != "GET" && method != "HEAD") {
    Send(connection, {.code = 405, .body = "only GET and HEAD\n"}, true);
    return 405;
  }
  const HttpRequest request = {.path = TextOrEmpty(info.local_uri_raw),
                               .query = TextOrEmpty(info.query_string),
                               .host = TextOrEmpty(mg_get_header(connection, "Host"))};
  const HttpResponse response = server->handler_(request);
  Send(connection, response, method == "GET");
  return response.code;
}

int HttpServer::OnLog(const mg_connection* connection, const char* message) {
  auto* server = static_cast<HttpServer*>(mg_get_user_data(mg_get_context(connection)));
  spdlog::debug("http: {}", message);
  if (server != nullptr) {
    absl::MutexLock lock(&server->mutex_);
    if (server->complaint_.empty()) server->complaint_ = message;
  }
  return 1;  // civetweb writes nothing itself
}

absl::Status HttpServer::Listen(const std::string& listen) {
  mg_callbacks callbacks = {};
  callbacks.begin_request = &OnRequest;
  callbacks.log_message = &OnLog;
  const char* options[] = {"listening_ports",
                           listen.c_str(),
                           "num_threads",
                           kThreads,
                           "request_timeout_ms",
                           kTimeoutMs,
                           "max_request_size",
                           kLargestRequestBytes,
                           "decode_url",
                           "no",
                           "enable_keep_alive",
                           "no",
                           "enable_auth_domain_check",
                           "no",
                           nullptr};
  context_ = mg_start(&callbacks, this, options);
  if (context_ == nullptr) {
    absl::MutexLock lock(&mutex_);
    return absl::UnavailableError(absl::StrCat("cannot serve HTTP on ", listen, ": ", complaint_));
  }
  mg_server_port port = {};
  mg_get_server_ports(context_, 1, &port);
  address_ = absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port.port);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& listen,
                                                              HttpHandler handler) {
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(handler)));
  RETURN_IF_ERROR(server->Listen(listen));
  return server;
}

HttpServer::~HttpServer() {
  if (context_ != nullptr) mg_stop(context_);
}

}  // namespace dropbp::server
