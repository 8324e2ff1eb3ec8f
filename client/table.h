// Aligned columns of text.
#pragma once

#include <string>
#include <vector>

#include "client/console.h"

namespace dropbp::client {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

struct Cell {
  std::string text;
  Colour colour = Colour::kNone;
  Cell(std::string text, Colour colour = Colour::kNone)
      : text(std::move(text)), colour(colour) {}  // NOLINT: a cell is its text
  Cell(const char* text) : text(text) {}          // NOLINT: likewise
};

// A table is printed at once, so that every column fits its widest cell. Widths count Unicode code
// points.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void Add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  // Titles first; no trailing spaces.
  void Print(const Sink& sink) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "label   value" lines, for one thing with many properties. Further lines of a value stand under
// its first; on a terminal, lines are broken at spaces to fit it.
class Properties {
 public:
  void Add(std::string label, Cell value) {
    rows_.emplace_back(std::move(label), std::move(value));
  }
  void Print(const Sink& sink) const;

 private:
  std::vector<std::pair<std::string, Cell>> rows_;
};

}  // namespace dropbp::client
