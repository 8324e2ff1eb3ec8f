#include "worker/agent/models.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/base/text.h"
#include "proto/support/job_spec_proto.h"
#include "worker/hf/model_config.h"

namespace dropbp::agent {
namespace {

namespace fs = std::filesystem;

bool IsModelFolder(const fs::path& folder) {
  std::error_code error;
  return fs::is_regular_file(folder / "config.json", error);
}

}  // namespace

std::vector<std::string> ListModels(const std::string& models_dir) {
  std::vector<std::string> models;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(models_dir, error)) {
    if (IsModelFolder(entry.path())) models.push_back(entry.path().filename());
  }
  std::sort(models.begin(), models.end());
  return models;
}

std::vector<v1::WorkerModel> DescribeModels(const std::string& models_dir) {
  std::vector<v1::WorkerModel> models;
  for (const std::string& name : ListModels(models_dir)) {
    v1::WorkerModel& model = models.emplace_back();
    model.set_name(name);
    const auto config = hf::ReadModelConfig((fs::path(models_dir) / name).string());
    if (config.ok()) {
      *model.mutable_shape() = ModelShapeToProto(config->shape);
    } else {
      // Clients need no path of this node.
      model.set_error(
          ToValidUtf8(absl::StrReplaceAll(config.status().message(), {{models_dir + "/", ""}})));
    }
  }
  return models;
}

absl::StatusOr<std::string> FindModel(const std::string& models_dir, const std::string& name) {
  if (!IsPlainName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("model: found '", name, "', legal is the name of a model folder"));
  }
  const fs::path folder = fs::path(models_dir) / name;
  if (IsModelFolder(folder)) return folder.string();
  return absl::NotFoundError(absl::StrCat("model: found '", name, "', this worker has ",
                                          absl::StrJoin(ListModels(models_dir), ", ")));
}

bool IsPlainName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

}  // namespace dropbp::agent
