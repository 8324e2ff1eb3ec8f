// Fields of a JSON object that must have certain types and values.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace dropbp::hf {

// Reads fields of one object and keeps the first rule that a field breaks, so that the calling code
// is a plain list. A field that breaks a rule reads as its fallback. The object outlives the
// reader.
class ConfigFields {
 public:
  // `path` stands before names in errors, for example "rope_scaling.".
  explicit ConfigFields(const nlohmann::json& object, std::string path = "")
      : object_(object), path_(std::move(path)) {}

  // The field's value; nullptr if it is missing or null.
  const nlohmann::json* Find(const char* name) const;
  bool Has(const char* name) const { return object_.contains(name); }

  int64_t Int(const char* name, int64_t fallback, int64_t min, int64_t max);
  int64_t NeededInt(const char* name, int64_t max);  // from 1
  double Positive(const char* name, double fallback);
  double NeededPositive(const char* name);
  bool Bool(const char* name, bool fallback);
  std::string Text(const char* name, std::string fallback);
  // `count` numbers above 0; empty if the field is missing or null.
  std::vector<double> Positives(const char* name, size_t count);

  // A field that must have one value, or be missing or null.
  void Only(const char* name, const nlohmann::json& supported);
  // A field that must not be there, or be null.
  void Absent(const char* name, const std::string& supported);

  void Fail(std::string what);
  void Fail(const std::string& name, const nlohmann::json& found, const std::string& supported);
  // Takes over the failure of a reader of an inner object.
  void FailAs(const absl::Status& inner);

  const absl::Status& status() const { return status_; }

 private:
  const nlohmann::json& object_;
  std::string path_;
  absl::Status status_;
};

}  // namespace dropbp::hf
