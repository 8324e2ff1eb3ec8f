// Usage, help and errors that need no coordinator.
#include "client/command_line.h"

#include <gmock/gmock.h>

#include "absl/strings/str_split.h"
#include "client/session.h"
#include "tests/unit/client/captured_console.h"

namespace dropbp::client {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Result {
  ExitCode code;
  std::string out;
  std::string err;
};

Result Dropbp(const std::string& line) {
  CapturedConsole captured;
  const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  const ExitCode code = RunCommandLine(words, captured.console());
  return {code, captured.out(), captured.err()};
}

constexpr const char* kCommands[] = {"submit", "validate",    "list",   "get",       "watch",
                                     "logs",   "cancel",      "wait",   "download",  "workers",
                                     "drain",  "plan",        "health", "version",   "pause",
                                     "resume", "checkpoints", "delete", "completion"};

TEST(CommandLineTest, HelpNamesEveryCommandAndExitCode) {
  const Result help = Dropbp("--help");
  EXPECT_EQ(help.code, ExitCode::kOk);
  for (const char* command : kCommands) EXPECT_THAT(help.out, HasSubstr(command));
  for (const ExitCodeMeaning& row : ExitCodeTable()) EXPECT_THAT(help.out, HasSubstr(row.meaning));
  EXPECT_THAT(help.err, IsEmpty());
}

TEST(CommandLineTest, TellsItsVersionByCommandAndByOption) {
  EXPECT_EQ(Dropbp("--version").out, "dropbp " DROPBP_VERSION "\n");
  EXPECT_EQ(Dropbp("--version").code, ExitCode::kOk);
  EXPECT_EQ(Dropbp("version").out, "dropbp " DROPBP_VERSION "\n");
}

TEST(SessionTest, EndsWhatIsDrawnBeforeItTalks) {
  CapturedConsole captured;
  Session session(captured.console());
  session.OnTalk([&] { session.err().stream << "[bar]\n"; });
  session.Say("one");
  session.OnTalk([] {});
  session.SuggestNext("two");
  EXPECT_EQ(captured.err(), "[bar]\none\nnext: two\n");
}

TEST(CommandLineTest, NothingTypedShowsTheHelp) { EXPECT_EQ(Dropbp("").out, Dropbp("--help").out); }

TEST(CommandLineTest, EveryCommandHasHelpWithExamples) {
  for (const char* command : kCommands) {
    const Result help = Dropbp(std::string(command) + " --help");
    EXPECT_EQ(help.code, ExitCode::kOk) << command;
    EXPECT_THAT(help.out, HasSubstr(std::string("Examples:\n  dropbp ") + command));
    EXPECT_THAT(help.out, HasSubstr("--coordinator")) << command;
  }
}

TEST(CommandLineTest, AnUnknownCommandNamesTheLegalOnes) {
  const Result result = Dropbp("frob");
  EXPECT_EQ(result.code, ExitCode::kBadInput);
  EXPECT_THAT(result.err, HasSubstr("found \"frob\", legal is submit, validate, list"));
  EXPECT_THAT(result.err, HasSubstr("next: dropbp --help"));
  EXPECT_THAT(result.out, IsEmpty());
}

TEST(CommandLineTest, WrongUsageNamesTheHelpOfTheCommand) {
  for (const char* line : {"get", "list --limit 0", "list extra", "wait x --timeout -1", "submit",
                           "logs x --rank -2", "list --output xml", "health --timeout 0"}) {
    const Result result = Dropbp(line);
    EXPECT_EQ(result.code, ExitCode::kBadInput) << line;
    EXPECT_THAT(result.err, HasSubstr("error: ")) << line;
    EXPECT_THAT(result.err, HasSubstr(" --help")) << line;
  }
}

TEST(CommandLineTest, VersionIsData) {
  EXPECT_EQ(Dropbp("version").out, "dropbp " DROPBP_VERSION "\n");
  EXPECT_EQ(Dropbp("version --output json").out, "{\"version\": \"" DROPBP_VERSION "\"}\n");
  EXPECT_EQ(Dropbp("--output json version").out, "{\"version\": \"" DROPBP_VERSION "\"}\n");
}

TEST(CommandLineTest, ACoordinatorThatDoesNotAnswerHasItsOwnExitCode) {
  // Port 1 is privileged and not in use; a refused connection is answered at once.
  const Result result = Dropbp("list --coordinator 127.0.0.1:1 --retry-seconds 0");
  EXPECT_EQ(result.code, ExitCode::kUnreachable);
  EXPECT_THAT(result.err, HasSubstr("no coordinator answers at 127.0.0.1:1"));
  EXPECT_THAT(result.err, HasSubstr("DROPBP_COORDINATOR"));
  EXPECT_THAT(result.err, Not(HasSubstr("trying again")));
}

TEST(CommandLineTest, AHealthCheckAsksOnce) {
  const Result result = Dropbp("health --coordinator 127.0.0.1:1 --retry-seconds 60");
  EXPECT_EQ(result.code, ExitCode::kUnreachable);
  EXPECT_THAT(result.err, HasSubstr("no coordinator answers at 127.0.0.1:1"));
  EXPECT_THAT(result.err, Not(HasSubstr("trying again")));
  EXPECT_THAT(result.out, IsEmpty());
}

TEST(CommandLineTest, SaysThatItTriesAgain) {
  const Result result = Dropbp("list --coordinator 127.0.0.1:1 --retry-seconds 0.2");
  EXPECT_EQ(result.code, ExitCode::kUnreachable);
  EXPECT_THAT(result.err, HasSubstr("trying again for 200ms"));
}

TEST(CommandLineTest, OnlyLoopbackAddressesAreLegalWithoutTls) {
  for (const char* address : {"10.1.2.3:7070", "example.com:7070", "7070", "localhost",
                              "127.0.0.1:0", ":7070", "127.0.0.1:99999"}) {
    const Result result = Dropbp(std::string("list --coordinator ") + address);
    EXPECT_EQ(result.code, ExitCode::kBadInput) << address;
    EXPECT_THAT(result.err, HasSubstr("coordinator address: found")) << address;
  }
}

TEST(CommandLineTest, TlsNeedsAllThreeFiles) {
  Result result = Dropbp("list --coordinator 10.0.0.1:7070 --tls-ca ca.pem");
  EXPECT_EQ(result.code, ExitCode::kBadInput);
  EXPECT_THAT(result.err, HasSubstr("found --tls-ca only"));
  result = Dropbp("list --coordinator 10.0.0.1:7070 --tls-ca ca.pem --tls-cert c.pem --tls-key k");
  EXPECT_EQ(result.code, ExitCode::kBadInput);
  EXPECT_THAT(result.err, HasSubstr("ca.pem")) << "the address is legal now, the file is missing";
}

TEST(CommandLineTest, AnUnknownStateNamesTheLegalOnes) {
  const Result result = Dropbp("list --state asleep");
  EXPECT_EQ(result.code, ExitCode::kBadInput);
  EXPECT_THAT(result.err, HasSubstr("found \"asleep\", legal is queued, preparing"));
}

TEST(CommandLineTest, AMissingJobFileIsNotFound) {
  const Result result = Dropbp("submit -f /no/such/job.yaml");
  EXPECT_EQ(result.code, ExitCode::kNotFound);
  EXPECT_THAT(result.err, HasSubstr("/no/such/job.yaml"));
}

}  // namespace
}  // namespace dropbp::client
