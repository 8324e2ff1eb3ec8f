// Where the documents of a YAML text begin.
#pragma once

#include <string>
#include <vector>

namespace dropbp {

// Lines (from 1) at which the first and second document begin; further ones are not looked for.
// Throws YAML::Exception where the text is no YAML. Unlike YAML::LoadAll this ends for every text:
// yaml-cpp 0.7 finds an endless row of empty documents in front of a token that cannot begin one,
// such as a comma.
std::vector<int> FindYamlDocuments(const std::string& text);

}  // namespace dropbp
