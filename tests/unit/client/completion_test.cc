// The script that dropbp completion prints, in a real bash.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/command_line.h"
#include "tests/unit/client/captured_console.h"

namespace dropbp::client {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

class CompletionTest : public ::testing::Test {
 protected:
  CompletionTest() {
    CapturedConsole captured;
    EXPECT_EQ(RunCommandLine({"completion", "bash"}, captured.console()), ExitCode::kOk);
    std::ofstream(script_) << captured.out();
  }
  ~CompletionTest() override { std::remove(script_.c_str()); }

  // What the last of the words would be completed to. `list`: what stands in for `dropbp list`.
  std::vector<std::string> Complete(const std::vector<std::string>& words,
                                    const std::string& list = "return 4") const {
    const std::string run =
        absl::StrCat("set -u; dropbp() { ", list, "; }; source ", script_, "; COMP_WORDS=(dropbp '",
                     absl::StrJoin(words, "' '"), "'); COMP_CWORD=", words.size(),
                     "; _dropbp; printf '%s\\n' \"${COMPREPLY[@]}\"");
    const std::string command = absl::StrCat("bash --norc -c ", Quoted(run));
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::string out;
    for (int c; (c = std::fgetc(pipe.get())) != EOF;) out += static_cast<char>(c);
    return absl::StrSplit(out, '\n', absl::SkipEmpty());
  }

 private:
  static std::string Quoted(const std::string& text) {
    return absl::StrCat("'", absl::StrJoin(absl::StrSplit(text, '\''), "'\\''"), "'");
  }

  const std::string script_ = absl::StrCat(::testing::TempDir(), "completion_", getpid(), ".bash");
};

TEST_F(CompletionTest, OffersCommandsAndTheirOptions) {
  EXPECT_THAT(Complete({"sub"}), ElementsAre("submit"));
  EXPECT_THAT(Complete({"--coordinator", "host:1", "dra"}), ElementsAre("drain"));
  EXPECT_THAT(Complete({"--coor"}), ElementsAre("--coordinator"));
  EXPECT_THAT(Complete({"drain", "node-1", "--un"}), ElementsAre("--undo"));
  EXPECT_THAT(Complete({"submit", "--"}), AllOf(Contains("--dry-run"), Not(Contains("--undo"))));
}

TEST_F(CompletionTest, OffersNamesOfJobsWhereOneBelongs) {
  const std::string list = "printf 'JOB STATE\nquiet-maple FAILED\nquick-fox RUNNING\n'";
  EXPECT_THAT(Complete({"get", "qui"}, list), ElementsAre("quiet-maple", "quick-fox"));
  EXPECT_THAT(Complete({"delete", "quiet-maple", "quic"}, list), ElementsAre("quick-fox"));
  EXPECT_THAT(Complete({"submit", "q"}, list), IsEmpty());
  EXPECT_THAT(Complete({"get", "q"}), IsEmpty()) << "no coordinator answers";
}

}  // namespace
}  // namespace dropbp::client
