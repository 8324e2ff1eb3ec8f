#include "worker/data/code_points.h"

#include <oniguruma.h>

#include <cstring>
#include <memory>

#include "core/base/check.h"
#include "worker/data/regex.h"

namespace dropbp::data {
namespace {

constexpr uint32_t kCodePoints = 0x110000;

struct Range {
  uint32_t first;
  uint32_t last;
};

// Oniguruma 6.9.8 knows Unicode 14; the reference implementation of tokenizers brings a newer one
// with Unicode 16.
constexpr Range kNewerLetters[] = {
    {0x1c89, 0x1c8a},   {0xa7cb, 0xa7cd},   {0xa7da, 0xa7dc},   {0x105c0, 0x105f3},
    {0x10d4a, 0x10d65}, {0x10d6f, 0x10d85}, {0x10ec2, 0x10ec4}, {0x1123f, 0x11240},
    {0x11380, 0x11389}, {0x1138b, 0x1138b}, {0x1138e, 0x1138e}, {0x11390, 0x113b5},
    {0x113b7, 0x113b7}, {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0},
    {0x11f02, 0x11f02}, {0x11f04, 0x11f10}, {0x11f12, 0x11f33}, {0x1342f, 0x1342f},
    {0x13441, 0x13446}, {0x13460, 0x143fa}, {0x16100, 0x1611d}, {0x16d40, 0x16d6c},
    {0x18cff, 0x18cff}, {0x1b132, 0x1b132}, {0x1b155, 0x1b155}, {0x1df25, 0x1df2a},
    {0x1e030, 0x1e06d}, {0x1e4d0, 0x1e4eb}, {0x1e5d0, 0x1e5ed}, {0x1e5f0, 0x1e5f0},
    {0x2b739, 0x2b739}, {0x2ebf0, 0x2ee5d}, {0x31350, 0x323af}};
constexpr Range kNewerNumbers[] = {{0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9},
                                   {0x11f50, 0x11f59}, {0x16130, 0x16139}, {0x16d70, 0x16d79},
                                   {0x1ccf0, 0x1ccf9}, {0x1d2c0, 0x1d2d3}, {0x1e4f0, 0x1e4f9},
                                   {0x1e5f1, 0x1e5fa}};
// Numeric since Unicode 17: the reference implementation takes these classes from another table.
constexpr Range kNewestNumeric[] = {{0x11de0, 0x11de9}, {0x16ff4, 0x16ff6}};

void Add(const Range& range, uint8_t classes, uint8_t* table) {
  for (uint32_t code_point = range.first; code_point <= range.last && code_point < kCodePoints;
       ++code_point) {
    table[code_point] |= classes;
  }
}

// Adds the code points of one of Oniguruma's Unicode properties.
void AddProperty(const char* name, uint8_t classes, uint8_t* table) {
  OnigEncoding encoding = ONIG_ENCODING_UTF8;
  // The interface is older than const; the name is only read.
  auto* begin = reinterpret_cast<OnigUChar*>(const_cast<char*>(name));
  const int type = ONIGENC_PROPERTY_NAME_TO_CTYPE(encoding, begin, begin + std::strlen(name));
  OnigCodePoint single_byte_limit;
  const OnigCodePoint* ranges = nullptr;
  DROPBP_CHECK_EQ(ONIGENC_GET_CTYPE_CODE_RANGE(encoding, type, &single_byte_limit, &ranges), 0);
  for (OnigCodePoint i = 0; i < ranges[0]; ++i)
    Add({ranges[2 * i + 1], ranges[2 * i + 2]}, classes, table);
}

std::unique_ptr<uint8_t[]> BuildClasses() {
  InitializeOniguruma();
  auto owned = std::make_unique<uint8_t[]>(kCodePoints);
  uint8_t* table = owned.get();
  AddProperty("L", kLetter, table);
  AddProperty("N", kNumber | kNumeric, table);
  AddProperty("Space", kSpace, table);
  for (const char* name : {"Alphabetic", "M", "Nd", "Pc", "Join_Control"})
    AddProperty(name, kWord, table);
  for (const Range& range : kNewerLetters) Add(range, kLetter | kWord, table);
  for (const Range& range : kNewerNumbers) Add(range, kNumber | kNumeric | kWord, table);
  for (const Range& range : kNewestNumeric) Add(range, kNumeric, table);
  return owned;
}

}  // namespace

const uint8_t* CodePointClasses() {
  static const uint8_t* const classes = BuildClasses().release();
  return classes;
}

}  // namespace dropbp::data
