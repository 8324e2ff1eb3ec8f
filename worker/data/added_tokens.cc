#include "worker/data/added_tokens.h"

#include <algorithm>
#include <utility>

#include "worker/data/code_points.h"
#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

uint64_t Edge(int node, char byte) {
  return static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(byte);
}

bool HasClass(char32_t code_point, CodePointClass wanted) {
  return (CodePointClasses()[code_point] & wanted) != 0;
}

// Where the character before `position` begins.
size_t PreviousCharacter(std::string_view text, size_t position) {
  do {
    --position;
  } while (position > 0 && (static_cast<unsigned char>(text[position]) & 0xc0) == 0x80);
  return position;
}

bool IsWordBefore(std::string_view text, size_t position) {
  if (position == 0) return false;
  size_t previous = PreviousCharacter(text, position);
  return HasClass(NextCodePoint(text, previous), kWord);
}

bool IsWordAt(std::string_view text, size_t position) {
  return position < text.size() && HasClass(NextCodePoint(text, position), kWord);
}

size_t SkipSpacesBack(std::string_view text, size_t position, size_t lowest) {
  while (position > lowest) {
    const size_t begin = PreviousCharacter(text, position);
    size_t next = begin;
    if (!HasClass(NextCodePoint(text, next), kSpace)) break;
    position = begin;
  }
  return std::max(position, lowest);
}

size_t SkipSpaces(std::string_view text, size_t position) {
  while (position < text.size()) {
    size_t next = position;
    if (!HasClass(NextCodePoint(text, next), kSpace)) break;
    position = next;
  }
  return position;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  token_of_node_.push_back(-1);
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& pattern = tokens_[i].pattern;
    int node = 0;
    for (char byte : pattern) {
      const auto [child, added] =
          children_.try_emplace(Edge(node, byte), static_cast<int>(token_of_node_.size()));
      if (added) token_of_node_.push_back(-1);
      node = child->second;
    }
    token_of_node_[node] = static_cast<int>(i);
    may_begin_[static_cast<unsigned char>(pattern[0])] = true;
  }
}

int AddedTokenMatcher::LongestAt(std::string_view text, size_t position) const {
  int node = 0;
  int longest = -1;
  for (; position < text.size(); ++position) {
    const auto child = children_.find(Edge(node, text[position]));
    if (child == children_.end()) break;
    node = child->second;
    if (token_of_node_[node] >= 0) longest = token_of_node_[node];
  }
  return longest;
}

std::vector<Segment> AddedTokenMatcher::Split(std::string_view text) const {
  std::vector<Segment> segments;
  size_t done = 0;  // Everything before belongs to a segment.
  for (size_t position = 0; position < text.size();) {
    const int found =
        may_begin_[static_cast<unsigned char>(text[position])] ? LongestAt(text, position) : -1;
    if (found < 0) {
      ++position;
      continue;
    }
    const AddedToken& token = tokens_[found];
    size_t begin = position;
    size_t end = position + token.pattern.size();
    position = end;  // A match that is not a word of its own still hides what it overlaps.
    if (token.single_word && (IsWordBefore(text, begin) || IsWordAt(text, end))) continue;
    if (token.lstrip) begin = SkipSpacesBack(text, begin, done);
    if (token.rstrip) end = SkipSpaces(text, end);
    // White space that the token before took may hide this one's beginning.
    begin = std::max(begin, done);
    if (done < begin) segments.push_back({-1, done, begin});
    if (begin < end) segments.push_back({token.id, begin, end});
    done = std::max(done, end);
  }
  if (done < text.size()) segments.push_back({-1, done, text.size()});
  return segments;
}

}  // namespace dropbp::data
