// What a data file calls the keys of its records, and the values under them.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/status.h"

namespace dropbp::data {

class FieldNames {
 public:
  // From the keys of the formats to those of the file; a key that is not there has the same name.
  using Names = std::map<std::string, std::string>;

  explicit FieldNames(Names names) : names_(std::move(names)) {}

  std::string Of(const std::string& key) const;

  // The value under a key; nullptr if it is missing or null.
  const nlohmann::ordered_json* Find(const nlohmann::ordered_json& object,
                                     const std::string& key) const;

  // Text under a key that must be there. INVALID_ARGUMENT begins with `where` and the file's name
  // of the key.
  absl::StatusOr<std::string> NeededText(const nlohmann::ordered_json& object,
                                         const std::string& where, const std::string& key) const;

  // Text under a key of a record that need not be there; empty if it is missing or null.
  absl::StatusOr<std::string> OptionalText(const nlohmann::ordered_json& record,
                                           const std::string& key) const;

 private:
  Names names_;
};

}  // namespace dropbp::data
