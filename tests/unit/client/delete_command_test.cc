// dropbp delete.
#include "tests/unit/client/commands_fixture.h"

namespace dropbp::client {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(CommandsTest, DeleteShowsWhatWouldGoAndNeedsAYes) {
  Submit("one");
  Submit("two");
  ASSERT_EQ(Dropbp("cancel one").code, ExitCode::kOk);
  ASSERT_EQ(Dropbp("cancel two").code, ExitCode::kOk);
  const CommandResult shown = Dropbp("delete one two");
  EXPECT_EQ(shown.code, ExitCode::kBadInput);
  EXPECT_THAT(shown.out, IsEmpty());
  EXPECT_THAT(shown.err, HasSubstr("one  CANCELLED"));
  EXPECT_THAT(shown.err, HasSubstr("Nothing was deleted yet"));
  EXPECT_THAT(shown.err, HasSubstr("dropbp delete one two --yes"));
  EXPECT_EQ(Dropbp("get one").code, ExitCode::kOk);
  const CommandResult deleted = Dropbp("delete one two --yes");
  EXPECT_EQ(deleted.code, ExitCode::kOk) << deleted.err;
  EXPECT_EQ(deleted.out, "one deleted\ntwo deleted\n");
  EXPECT_EQ(Dropbp("get one").code, ExitCode::kNotFound);
  EXPECT_EQ(Dropbp("delete one --yes").code, ExitCode::kNotFound);
}

TEST_F(CommandsTest, DeleteLeavesAJobThatHasNotEnded) {
  Submit("job");
  const CommandResult refused = Dropbp("delete job --yes");
  EXPECT_EQ(refused.code, ExitCode::kRefused);
  EXPECT_THAT(refused.err, HasSubstr("only a job that has ended can be deleted"));
  EXPECT_THAT(refused.err, HasSubstr("dropbp get job"));
  EXPECT_EQ(Dropbp("get job").code, ExitCode::kOk);
}

}  // namespace
}  // namespace dropbp::client
