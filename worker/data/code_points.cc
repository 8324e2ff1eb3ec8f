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
// Those of them that have a case.
constexpr Range kNewerUpper[] = {
    {0x1c89, 0x1c89}, {0xa7cb, 0xa7cc}, {0xa7da, 0xa7da}, {0xa7dc, 0xa7dc}, {0x10d50, 0x10d65}};
constexpr Range kNewerLower[] = {
    {0x1c8a, 0x1c8a}, {0xa7cd, 0xa7cd}, {0xa7db, 0xa7db}, {0x10d70, 0x10d85}, {0x1df25, 0x1df2a}};
constexpr Range kNewerNumbers[] = {{0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9},
                                   {0x11f50, 0x11f59}, {0x16130, 0x16139}, {0x16d70, 0x16d79},
                                   {0x1ccf0, 0x1ccf9}, {0x1d2c0, 0x1d2d3}, {0x1e4f0, 0x1e4f9},
                                   {0x1e5f1, 0x1e5fa}};
// Numeric since Unicode 17: the reference implementation takes these classes from another table.
constexpr Range kNewestNumeric[] = {{0x11de0, 0x11de9}, {0x16ff4, 0x16ff6}};

// The reference implementation normalises by Unicode 9: these marks, and the one letter that
// composes, are to it characters that never move and never join.
constexpr Range kNewerMarks[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},   {0x10d24, 0x10d27},
    {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
    {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943},
    {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99},
    {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97}, {0x11f41, 0x11f42},
    {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae},
    {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}};

void Add(const Range& range, uint8_t classes, uint8_t* table) {
  for (uint32_t code_point = range.first; code_point <= range.last && code_point < kCodePoints;
       ++code_point) {
    table[code_point] |= classes;
  }
}

void Remove(const Range& range, uint8_t classes, uint8_t* table) {
  for (uint32_t code_point = range.first; code_point <= range.last; ++code_point) {
    table[code_point] &= static_cast<uint8_t>(~classes);
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
  for (const char* name : {"Lu", "Lt", "Lm", "Lo", "M"}) AddProperty(name, kUpper, table);
  for (const char* name : {"Ll", "Lm", "Lo", "M"}) AddProperty(name, kLower, table);
  for (const Range& range : kNewerLetters) Add(range, kLetter | kWord | kUpper | kLower, table);
  for (const Range& range : kNewerUpper) Remove(range, kLower, table);
  for (const Range& range : kNewerLower) Remove(range, kUpper, table);
  for (const Range& range : kNewerNumbers) Add(range, kNumber | kNumeric | kWord, table);
  for (const Range& range : kNewerMarks) Add(range, kInert, table);
  for (const Range& range : kNewestNumeric) Add(range, kNumeric, table);
  return owned;
}

}  // namespace

const uint8_t* CodePointClasses() {
  static const uint8_t* const classes = BuildClasses().release();
  return classes;
}

}  // namespace dropbp::data
