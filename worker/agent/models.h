// The model folders of this node.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "dropbp/v1/worker_gateway.pb.h"

namespace dropbp::agent {

// Names of the sub-folders of `models_dir` that hold a config.json, sorted.
std::vector<std::string> ListModels(const std::string& models_dir);

// What the config.json of each of these models says, or why it cannot be used; sorted.
std::vector<v1::WorkerModel> DescribeModels(const std::string& models_dir);

// Path of a model folder. INVALID_ARGUMENT if `name` is not a plain folder name; NOT_FOUND, with
// the models that are there, if there is none of that name.
absl::StatusOr<std::string> FindModel(const std::string& models_dir, const std::string& name);

// Whether `name` names something inside a folder: not empty, no slash, not "." or "..".
bool IsPlainName(std::string_view name);

}  // namespace dropbp::agent
