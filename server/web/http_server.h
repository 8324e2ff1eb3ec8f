// A small HTTP server: GET and HEAD, one handler, no files, no cookies, no request bodies.
//
// Note [Which HTTP server] It is civetweb: prometheus-cpp's own Exposer is civetweb underneath, so
// that no library comes in addition, and it takes what Exposer does not give: one port for /metrics
// and the page, limits, and every request before anything else has looked at it. civetweb's own
// handling of files, directories, uploads and scripts is never reached.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/status.h"

struct mg_connection;
struct mg_context;

namespace dropbp::server {

struct HttpRequest {
  std::string path;   // as sent, percent signs and all: "/api/v1/jobs"
  std::string query;  // what follows '?'; empty if nothing does
  std::string host;   // the header Host
};

struct HttpResponse {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Called from several threads at once.
using HttpHandler = std::function<HttpResponse(const HttpRequest& request)>;

class HttpServer {
 public:
  // Serves until it is destroyed. `listen` is HOST:PORT, port 0: any free one. UNAVAILABLE, with
  // the reason, if the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& listen,
                                                           HttpHandler handler);
  // Returns when no handler runs any more.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // "host:port" with the port that was chosen.
  const std::string& address() const { return address_; }

 private:
  explicit HttpServer(HttpHandler handler) : handler_(std::move(handler)) {}
  absl::Status Listen(const std::string& listen);
  static int OnRequest(mg_connection* connection);
  static int OnLog(const mg_connection* connection, const char* message);

  const HttpHandler handler_;
  std::string address_;
  mg_context* context_ = nullptr;
  absl::Mutex mutex_;
  std::string complaint_ ABSL_GUARDED_BY(mutex_);  // the first of civetweb: what others follow from
};

}  // namespace dropbp::server
