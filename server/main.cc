// dropbp-coordinator: read the settings, start the service, run until told to stop.
#include <pthread.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <string>

#include "server/config.h"
#include "server/service.h"

namespace {

// Blocks the signals that end the program in all threads started later; Wait returns when one
// comes.
class StopSignal {
 public:
  StopSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  int Wait() const {
    int signal = 0;
    sigwait(&signals_, &signal);
    return signal;
  }

 private:
  sigset_t signals_;
};

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "dropbp-coordinator: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  auto arguments = dropbp::server::ParseArguments(argc, argv);
  if (!arguments.ok()) return Fail(arguments.status());
  if (arguments->exit_code >= 0) return arguments->exit_code;
  spdlog::set_default_logger(spdlog::stderr_color_mt("coordinator"));
  spdlog::set_level(spdlog::level::from_str(arguments->config.log_level));
  spdlog::flush_on(spdlog::level::info);

  const StopSignal stop;
  auto service = dropbp::server::Service::Start(arguments->config);
  if (!service.ok()) return Fail(service.status());
  const std::string page = (*service)->page_url();
  spdlog::info("serving on {}, data in {}{}{}", (*service)->address(), arguments->config.data_dir,
               page.empty() ? "" : ", page and metrics at ", page);
  const int signal = stop.Wait();
  spdlog::info("stopping on signal {}", signal);
  service->reset();
  spdlog::info("stopped");
  return 0;
}
