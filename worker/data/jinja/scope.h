// Names and their values: an inner scope hides an outer one and disappears with its block.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "worker/data/jinja/value.h"

namespace dropbp::data::jinja {

class Scopes {
 public:
  explicit Scopes(Entries outermost) : variables_(std::move(outermost)) {}

  // The innermost value of a name; nullptr if it has none.
  const Value* Find(const std::string& name) const {
    for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable) {
      if (variable->first == name) return &variable->second;
    }
    return nullptr;
  }

  // Sets a name in the innermost scope.
  void Set(const std::string& name, Value value) {
    for (size_t i = begins_.empty() ? 0 : begins_.back(); i < variables_.size(); ++i) {
      if (variables_[i].first == name) {
        variables_[i].second = std::move(value);
        return;
      }
    }
    variables_.emplace_back(name, std::move(value));
  }

  // Variables of all scopes: what a search for a name may have to look at.
  size_t size() const { return variables_.size(); }

  void Enter() { begins_.push_back(variables_.size()); }
  void Leave() {
    variables_.resize(begins_.back());
    begins_.pop_back();
  }

 private:
  Entries variables_;           // of all scopes, the outermost first
  std::vector<size_t> begins_;  // where each inner scope begins
};

}  // namespace dropbp::data::jinja
