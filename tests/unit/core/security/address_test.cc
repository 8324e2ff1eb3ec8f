#include "core/security/address.h"

#include <gtest/gtest.h>

namespace dropbp {
namespace {

TEST(AddressTest, KnowsWhatStaysOnThisMachine) {
  for (const char* address : {"127.0.0.1:7070", "127.8.9.10:1", "localhost:0", "[::1]:7070",
                              "unix:/run/dropbp.sock", "127.0.0.1"}) {
    EXPECT_TRUE(IsLoopbackAddress(address)) << address;
  }
}

TEST(AddressTest, TakesNoNameForAnAddressThatItBeginsLike) {
  for (const char* address : {"127.0.0.1.example.com:7070", "127.example.com:7070", "10.0.0.1:7070",
                              "0.0.0.0:7070", "[::]:7070", "coordinator:7070", "localhost.evil:1",
                              "dns:///127.0.0.1:7070", "128.0.0.1:1", ""}) {
    EXPECT_FALSE(IsLoopbackAddress(address)) << address;
  }
}

TEST(AddressTest, TellsThePortAfterTheLastColon) {
  EXPECT_EQ(PortOf("127.0.0.1:7070"), 7070);
  EXPECT_EQ(PortOf("[::1]:80"), 80);
  EXPECT_EQ(PortOf(":0"), 0);
  EXPECT_EQ(PortOf("host:65535"), 65535);
  for (const char* address : {"", "host", "host:", "host:x", "host:-1", "host:65536", "7070"}) {
    EXPECT_FALSE(PortOf(address).has_value()) << address;
  }
}

}  // namespace
}  // namespace dropbp
