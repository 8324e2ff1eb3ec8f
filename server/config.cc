#include "server/config.h"

#include <yaml-cpp/yaml.h>

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/security/address.h"

namespace dropbp::server {
namespace {

// Sets one key from its text; returns what is legal if the text is not.
using Setter = std::function<std::string(const std::string& text, CoordinatorConfig& config)>;

Setter Text(std::string CoordinatorConfig::*field) {
  return [field](const std::string& text, CoordinatorConfig& config) {
    config.*field = text;
    return std::string();
  };
}

Setter TlsFile(std::string TlsFiles::*field) {
  return [field](const std::string& text, CoordinatorConfig& config) {
    config.tls.*field = text;
    return std::string();
  };
}

Setter Number(double CoordinatorConfig::*field) {
  return [field](const std::string& text, CoordinatorConfig& config) {
    return absl::SimpleAtod(text, &(config.*field)) ? "" : "a number";
  };
}

Setter Whole(int64_t CoordinatorConfig::*field) {
  return [field](const std::string& text, CoordinatorConfig& config) {
    return absl::SimpleAtoi(text, &(config.*field)) ? "" : "a whole number";
  };
}

Setter Flag(bool CoordinatorConfig::*field) {
  return [field](const std::string& text, CoordinatorConfig& config) {
    return absl::SimpleAtob(text, &(config.*field)) ? "" : "true or false";
  };
}

const std::map<std::string, Setter>& Keys() {
  static const auto* keys = new std::map<std::string, Setter>{
      {"listen", Text(&CoordinatorConfig::listen)},
      {"metrics_listen", Text(&CoordinatorConfig::metrics_listen)},
      {"tls_ca", TlsFile(&TlsFiles::ca)},
      {"tls_cert", TlsFile(&TlsFiles::cert)},
      {"tls_key", TlsFile(&TlsFiles::key)},
      {"metrics_off_loopback", Flag(&CoordinatorConfig::metrics_off_loopback)},
      {"data_dir", Text(&CoordinatorConfig::data_dir)},
      {"port_file", Text(&CoordinatorConfig::port_file)},
      {"reflection", Flag(&CoordinatorConfig::reflection)},
      {"log_level", Text(&CoordinatorConfig::log_level)},
      {"lease_seconds", Number(&CoordinatorConfig::lease_seconds)},
      {"heartbeat_seconds", Number(&CoordinatorConfig::heartbeat_seconds)},
      {"stall_seconds", Number(&CoordinatorConfig::stall_seconds)},
      {"stall_factor", Number(&CoordinatorConfig::stall_factor)},
      {"start_timeout_seconds", Number(&CoordinatorConfig::start_timeout_seconds)},
      {"plan_block_steps", Whole(&CoordinatorConfig::plan_block_steps)},
      {"log_limit_bytes", Whole(&CoordinatorConfig::log_limit_bytes)},
      {"artifact_limit_bytes", Whole(&CoordinatorConfig::artifact_limit_bytes)},
  };
  return *keys;
}

std::string KnownKeys() {
  return absl::StrJoin(Keys(), ", ",
                       [](std::string* out, const auto& entry) { out->append(entry.first); });
}

// What is wrong with one entry; empty if nothing is.
std::string SetKey(const std::string& key, const YAML::Node& value, CoordinatorConfig& config) {
  const auto setter = Keys().find(key);
  if (setter == Keys().end()) return absl::StrCat(key, ": unknown key, known are: ", KnownKeys());
  const std::string text = value.IsScalar() ? value.Scalar() : "";
  const std::string legal = value.IsScalar() ? setter->second(text, config) : "a single value";
  return legal.empty() ? "" : absl::StrCat(key, ": found '", text, "', legal is ", legal);
}

// What is wrong with an address to listen on, if it may be off loopback.
void CheckAddress(const std::string& key, const std::string& address,
                  std::vector<std::string>& problems) {
  if (absl::StartsWith(address, "unix:") || PortOf(address).has_value()) return;
  problems.push_back(absl::StrCat(key, ": found '", address, "', legal is HOST:PORT"));
}

void CheckMetricsAddress(const CoordinatorConfig& config, std::vector<std::string>& problems) {
  if (config.metrics_listen.empty()) return;
  CheckAddress("metrics_listen", config.metrics_listen, problems);
  if (IsLoopbackAddress(config.metrics_listen) || config.metrics_off_loopback) return;
  problems.push_back(absl::StrCat(
      "metrics_listen: found '", config.metrics_listen,
      "', legal are loopback addresses (127.0.0.1, localhost, [::1]): metrics are plain HTTP that "
      "everybody may read; where a network policy guards them, set metrics_off_loopback"));
}

void CheckPositive(const std::string& key, double value, std::vector<std::string>& problems) {
  if (value > 0) return;
  problems.push_back(absl::StrCat(key, ": found ", value, ", legal is a number above 0"));
}

}  // namespace

absl::Status ReadConfig(std::string_view yaml, const std::string& source,
                        CoordinatorConfig& config) {
  YAML::Node root;
  try {
    root = YAML::Load(std::string(yaml));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ":", error.mark.line + 1, ": ", error.msg));
  }
  if (root.IsNull()) return absl::OkStatus();
  if (!root.IsMap()) return absl::InvalidArgumentError(absl::StrCat(source, ":1: not a YAML map"));
  std::vector<std::string> problems;
  for (const auto& entry : root) {
    const std::string problem = SetKey(entry.first.Scalar(), entry.second, config);
    if (problem.empty()) continue;
    problems.push_back(absl::StrCat(source, ":", entry.first.Mark().line + 1, ": ", problem));
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

absl::Status CheckConfig(const CoordinatorConfig& config) {
  std::vector<std::string> problems;
  CheckAddress("listen", config.listen, problems);
  if (const absl::Status tls = CheckTlsRule(config.tls, "listen", config.listen, TlsSpelling::kKey);
      !tls.ok()) {
    problems.emplace_back(tls.message());
  }
  CheckMetricsAddress(config, problems);
  CheckPositive("lease_seconds", config.lease_seconds, problems);
  CheckPositive("heartbeat_seconds", config.heartbeat_seconds, problems);
  CheckPositive("stall_seconds", config.stall_seconds, problems);
  CheckPositive("stall_factor", config.stall_factor, problems);
  CheckPositive("start_timeout_seconds", config.start_timeout_seconds, problems);
  CheckPositive("plan_block_steps", static_cast<double>(config.plan_block_steps), problems);
  CheckPositive("log_limit_bytes", static_cast<double>(config.log_limit_bytes), problems);
  CheckPositive("artifact_limit_bytes", static_cast<double>(config.artifact_limit_bytes), problems);
  if (config.heartbeat_seconds >= config.lease_seconds) {
    problems.push_back(absl::StrCat("heartbeat_seconds: found ", config.heartbeat_seconds,
                                    ", legal is less than lease_seconds (", config.lease_seconds,
                                    ")"));
  }
  const std::set<std::string> levels = {"debug", "info", "warning", "error"};
  if (levels.count(config.log_level) == 0) {
    problems.push_back(absl::StrCat("log_level: found '", config.log_level, "', legal are ",
                                    absl::StrJoin(levels, ", ")));
  }
  if (config.data_dir.empty()) problems.push_back("data_dir: found nothing, legal is a folder");
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

}  // namespace dropbp::server
