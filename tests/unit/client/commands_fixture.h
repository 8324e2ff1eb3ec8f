// Commands against a real coordinator in the test's own process; the worker is played by the test.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "client/command_line.h"
#include "server/api/server.h"
#include "tests/unit/client/captured_console.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::client {

struct CommandResult {
  ExitCode code;
  std::string out;
  std::string err;
};

class CommandsTest : public server::ClusterTest {
 protected:
  CommandsTest();
  ~CommandsTest() override;

  // Runs `dropbp <line>`; words are separated by spaces.
  CommandResult Dropbp(const std::string& line);
  ExitCode Dropbp(const std::string& line, CapturedConsole& captured);
  // Submits with the given words after `submit -f job.yaml`; returns the printed id.
  std::string SubmitFile(const std::string& words = "");

  // The coordinator is killed, without storing what it had not stored yet, and comes back at the
  // same address.
  void RestartCoordinator();
  void Serve(const std::string& listen);

  // Waits until the command in another thread has written `text` to stdout.
  static bool WaitForOutput(const CapturedConsole& captured, const std::string& text);

  std::filesystem::path folder() const { return folder_; }
  server::TestAgent agent_{"worker-0", 11, 2};

 private:
  const std::filesystem::path folder_;
  std::unique_ptr<server::ApiServer> api_;
  std::string address_;
};

}  // namespace dropbp::client
