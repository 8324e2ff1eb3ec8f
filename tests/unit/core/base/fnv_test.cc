#include "core/base/fnv.h"

#include <gtest/gtest.h>

#include <string>

namespace dropbp {
namespace {

// Vectors of the authors' test suite (draft-eastlake-fnv).
TEST(Fnv1a64Test, AgreesWithPublishedVectors) {
  EXPECT_EQ(Fnv1a64().hash(), 0xcbf29ce484222325ull);
  EXPECT_EQ(Fnv1a64().Bytes("a").hash(), 0xaf63dc4c8601ec8cull);
  EXPECT_EQ(Fnv1a64().Bytes("foobar").hash(), 0x85944171f73967e8ull);
}

TEST(Fnv1a64Test, TakesNumbersAsEightLittleEndianBytes) {
  const std::string bytes("\x08\x07\x06\x05\x04\x03\x02\x01", 8);
  EXPECT_EQ(Fnv1a64().Number(0x0102030405060708ull).hash(), Fnv1a64().Bytes(bytes).hash());
}

TEST(Fnv1a64Test, DoesNotCareHowBytesAreSplit) {
  EXPECT_EQ(Fnv1a64().Bytes("foo").Bytes("bar").hash(), Fnv1a64().Bytes("foobar").hash());
}

}  // namespace
}  // namespace dropbp
