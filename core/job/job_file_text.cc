#include <yaml-cpp/yaml.h>

#include "core/job/job_file.h"
#include "core/job/job_values.h"

namespace dropbp {
namespace {

// Numbers as the reader takes them, not as yaml-cpp would round them.
YAML::Node NodeOf(const std::string& value) { return YAML::Node(value); }
YAML::Node NodeOf(int64_t value) { return YAML::Node(value); }
YAML::Node NodeOf(double value) { return YAML::Node(FormatNumber(value)); }
YAML::Node NodeOf(bool value) { return YAML::Node(value); }

YAML::Node NodeOf(const std::vector<std::string>& words) {
  YAML::Node list(YAML::NodeType::Sequence);
  list.SetStyle(YAML::EmitterStyle::Flow);
  for (const std::string& word : words) list.push_back(word);
  return list;
}

template <typename Value>
YAML::Node NodeOf(const std::map<std::string, Value>& pairs) {
  YAML::Node map(YAML::NodeType::Map);
  for (const auto& [key, value] : pairs) map[key] = NodeOf(value);
  return map;
}

YAML::Node NodeOf(const JobField& field, const JobSpec& spec) {
  JobSpec copy = spec;
  return std::visit([&](auto access) { return NodeOf(access(copy)); }, field.access);
}

}  // namespace

std::string FormatJobFile(const JobSpec& spec) {
  const JobSpec defaults;
  YAML::Node root(YAML::NodeType::Map);
  for (const JobField& field : JobFields()) {
    if (FormatField(field, spec) == FormatField(field, defaults)) continue;
    const std::string path(field.path);
    const size_t dot = path.find('.');
    if (dot == std::string::npos) {
      root[path] = NodeOf(field, spec);
    } else {
      root[path.substr(0, dot)][path.substr(dot + 1)] = NodeOf(field, spec);
    }
  }
  return YAML::Dump(root) + "\n";
}

}  // namespace dropbp
