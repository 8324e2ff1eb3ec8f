#include "core/base/format_bytes.h"

#include <gtest/gtest.h>

namespace dropbp {
namespace {

TEST(FormatBytesTest, UsesBinaryPrefixes) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.0 KiB");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(int64_t{512} << 20), "512.0 MiB");
  EXPECT_EQ(FormatBytes(int64_t{24} << 30), "24.0 GiB");
}

TEST(FormatBytesTest, HasNoPrefixAboveTebibytes) {
  EXPECT_EQ(FormatBytes(int64_t{3} << 39), "1.5 TiB");
  EXPECT_EQ(FormatBytes(int64_t{3} << 50), "3072.0 TiB");
}

}  // namespace
}  // namespace dropbp
