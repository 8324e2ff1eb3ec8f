// Hand-written equivalents of widely used patterns. Each returns where the match that begins
// at `begin` ends; their alternatives cover every character, so a match always begins there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dropbp::data {

// `classes` is CodePointClasses(); `text` is valid UTF-8, `begin` < text.size() the first byte of a
// character.
using WordScanner = size_t (*)(const uint8_t* classes, std::string_view text, size_t begin);

size_t ScanGpt2Word(const uint8_t* classes, std::string_view text, size_t begin);
size_t ScanLlama3Word(const uint8_t* classes, std::string_view text, size_t begin);
size_t ScanQwen2Word(const uint8_t* classes, std::string_view text, size_t begin);
size_t ScanTekkenWord(const uint8_t* classes, std::string_view text, size_t begin);

}  // namespace dropbp::data
