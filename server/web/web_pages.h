// What the coordinator's HTTP port answers: the page, the JSON that the page asks for, and
// /metrics. docs/api.md lists the paths. Handlers translate, call one function of the coordinator,
// and translate back, as those of server/api do.
#pragma once

#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/run/coordinator.h"
#include "server/web/http_server.h"
#include "server/web/step_curves.h"

namespace dropbp::server {

struct WebOptions {
  // Whether requests that name any host are answered. If not, only those that name an IP address or
  // "localhost": a web site that lets its own name point at this machine (DNS rebinding) must not
  // read what is served on loopback to the user who happens to visit it.
  bool any_host = false;
  // The text of /metrics.
  std::function<std::string()> metrics = [] { return std::string(); };
};

// Thread-safe. The coordinator outlives it.
class WebPages {
 public:
  WebPages(WebOptions options, Coordinator& coordinator)
      : options_(std::move(options)), coordinator_(coordinator), curves_(coordinator) {}

  // Paths are matched exactly; what is not known is 404.
  HttpResponse Answer(const HttpRequest& request);

 private:
  HttpResponse AnswerApi(absl::string_view path, const HttpRequest& request);
  HttpResponse AnswerJob(absl::string_view path);
  HttpResponse Jobs(const std::string& query);
  HttpResponse Workers();
  HttpResponse Events(const std::string& job_id);

  const WebOptions options_;
  Coordinator& coordinator_;
  StepCurves curves_;
};

}  // namespace dropbp::server
