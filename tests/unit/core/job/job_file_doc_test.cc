// docs/job-file.md says what the program does: its table is the field table, and its examples
// parse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/files.h"
#include "core/job/job_fields_markdown.h"
#include "core/job/job_file.h"

namespace dropbp {
namespace {

std::string Page() {
  const char* source = std::getenv("DROPBP_SOURCE_DIR");
  const auto page =
      ReadFile(std::string(source == nullptr ? "." : source) + "/docs/job-file.md", 1 << 20);
  EXPECT_TRUE(page.ok()) << page.status();
  return page.value_or("");
}

std::vector<std::string> YamlBlocks(const std::string& page) {
  constexpr std::string_view kOpen = "```yaml\n";
  std::vector<std::string> blocks;
  for (size_t at = page.find(kOpen); at != std::string::npos; at = page.find(kOpen, at)) {
    at += kOpen.size();
    blocks.push_back(page.substr(at, page.find("```", at) - at));
  }
  return blocks;
}

TEST(JobFileDocTest, HoldsTheFieldTable) {
  const std::string page = Page();
  const std::string table = RenderJobFieldsMarkdown();
  // Shown whole, so that the page can be mended from the test's output.
  EXPECT_NE(page.find(table), std::string::npos) << "docs/job-file.md lacks this table:\n" << table;
}

TEST(JobFileDocTest, HasExamplesThatParse) {
  const std::vector<std::string> blocks = YamlBlocks(Page());
  EXPECT_GE(blocks.size(), 2u);
  for (const std::string& block : blocks) {
    const auto job = ParseJobFile(block, "docs/job-file.md");
    EXPECT_TRUE(job.ok()) << job.status() << "\n" << block;
  }
}

}  // namespace
}  // namespace dropbp
