#include "tests/unit/client/commands_fixture.h"

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/support/poll_until.h"

namespace dropbp::client {

CommandsTest::CommandsTest() : folder_(dir_.path() + "/user") {
  std::filesystem::create_directories(folder_);
  std::ofstream(folder_ / "data.jsonl") << "{\"prompt\": \"a\", \"completion\": \"b\"}\n";
  std::ofstream(folder_ / "job.yaml")
      << "model: tiny\n"
         "dataset:\n  file: data.jsonl\n"
         "training:\n  steps: 10\n  global_batch_size: 8\n  micro_batch_size: 2\n"
         "dropbp:\n  allocation: uniform\n"
         "resources:\n  ranks: 2\n";
  agent_.Connect(*coordinator_);
  Serve("127.0.0.1:0");
}

CommandsTest::~CommandsTest() {
  coordinator_->Shutdown();
  api_->Stop(absl::Seconds(1));
}

void CommandsTest::Serve(const std::string& listen) {
  auto api = server::ApiServer::Start({.listen = listen, .reflection = false, .interceptor = {}},
                                      *coordinator_, *artifacts_, logs_);
  ASSERT_TRUE(api.ok()) << api.status();
  api_ = *std::move(api);
  address_ = api_->address();
}

void CommandsTest::RestartCoordinator() {
  api_->Stop(absl::ZeroDuration());
  api_.reset();
  Crash();
  agent_.Connect(*coordinator_);
  Serve(address_);
}

ExitCode CommandsTest::Dropbp(const std::string& line, CapturedConsole& captured) {
  std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  words.insert(words.end(), {"--coordinator", address_, "--retry-seconds", "20"});
  return RunCommandLine(words, captured.console());
}

CommandResult CommandsTest::Dropbp(const std::string& line) {
  CapturedConsole captured;
  const ExitCode code = Dropbp(line, captured);
  return {code, captured.out(), captured.err()};
}

std::string CommandsTest::SubmitFile(const std::string& words) {
  const CommandResult result =
      Dropbp(absl::StrCat("submit -f ", (folder_ / "job.yaml").string(), " ", words));
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  return std::string(absl::StripSuffix(result.out, "\n"));
}

bool CommandsTest::WaitForOutput(const CapturedConsole& captured, const std::string& text) {
  return testing::PollUntil(absl::Seconds(20),
                            [&] { return absl::StrContains(captured.out(), text); });
}

}  // namespace dropbp::client
