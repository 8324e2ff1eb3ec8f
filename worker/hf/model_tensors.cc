#include <filesystem>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "worker/hf/json.h"
#include "worker/hf/safetensors.h"

namespace dropbp::hf {
namespace {

using nlohmann::json;

constexpr int64_t kMaxIndexBytes = 64 << 20;
constexpr size_t kMaxShards = 4096;
constexpr absl::string_view kSuffix = ".safetensors";

// A base name made of letters, digits, '.', '_' and '-': it can never leave the model's folder.
bool IsLegalShardName(const std::string& name) {
  if (name.size() <= kSuffix.size() || name.size() > 255 || !absl::EndsWith(name, kSuffix))
    return false;
  for (char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-')
      return false;
  }
  return true;
}

struct ShardIndex {
  std::map<std::string, std::string> file_of;  // tensor -> shard
  std::set<std::string> shards;
  int64_t total_bytes = -1;  // -1: the index does not say
};

absl::Status ReadTotalSize(const json& index, ShardIndex& result) {
  const auto metadata = index.find("metadata");
  if (metadata == index.end() || !metadata->is_object() || !metadata->contains("total_size")) {
    return absl::OkStatus();
  }
  const json& size = (*metadata)["total_size"];
  // Some writers put a float there; below 2^53 it is exact.
  if (!size.is_number() || size.get<double>() < 0 || size.get<double>() > 9e15) {
    return absl::InvalidArgumentError(absl::StrCat("metadata.total_size is ", DescribeJson(size),
                                                   ", legal is a number of bytes"));
  }
  result.total_bytes = size.get<int64_t>();
  return absl::OkStatus();
}

absl::StatusOr<ShardIndex> ParseIndex(std::string_view text) {
  ASSIGN_OR_RETURN(const json index, ParseJson(text));
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return absl::InvalidArgumentError("needs an object with weight_map: {tensor: file}");
  }
  ShardIndex result;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string() || !IsLegalShardName(file.get_ref<const std::string&>())) {
      return absl::InvalidArgumentError(
          absl::StrCat("weight_map ", QuoteForError(tensor), ": found ", DescribeJson(file),
                       ", legal is a file name of letters, digits, '.', '_', '-' "
                       "that ends in .safetensors"));
    }
    result.file_of[tensor] = file;
    result.shards.insert(file);
  }
  if (result.shards.empty()) return absl::InvalidArgumentError("weight_map is empty");
  if (result.shards.size() > kMaxShards) {
    return absl::InvalidArgumentError(
        absl::StrCat(result.shards.size(), " shards, legal are at most ", kMaxShards));
  }
  RETURN_IF_ERROR(ReadTotalSize(index, result));
  return result;
}

// Adds the tensors of one shard; each must be one that the index puts there.
absl::Status AddShard(const ShardIndex& index, const std::string& shard,
                      const std::shared_ptr<const SafetensorsFile>& file, ModelTensors& model) {
  for (const auto& [name, view] : file->tensors()) {
    const auto entry = index.file_of.find(name);
    if (entry == index.file_of.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          shard, " holds the tensor ", QuoteForError(name), ", which the index does not name"));
    }
    if (entry->second != shard) {
      return absl::InvalidArgumentError(absl::StrCat("the tensor ", QuoteForError(name), " is in ",
                                                     shard, ", the index puts it in ",
                                                     entry->second));
    }
    model.tensors[name] = view;
  }
  model.files.push_back(file);
  return absl::OkStatus();
}

absl::Status CheckComplete(const ShardIndex& index, const ModelTensors& model) {
  int64_t bytes = 0;
  for (const auto& [name, shard] : index.file_of) {
    const auto tensor = model.tensors.find(name);
    if (tensor == model.tensors.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          shard, " lacks the tensor ", QuoteForError(name), " that the index puts there"));
    }
    bytes += static_cast<int64_t>(tensor->second.data.size());
  }
  if (index.total_bytes < 0 || index.total_bytes == bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("metadata.total_size is ", index.total_bytes,
                                                 ", the tensors take ", bytes, " bytes"));
}

absl::StatusOr<ModelTensors> OpenShards(const std::string& model_dir,
                                        const std::string& index_path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(index_path, kMaxIndexBytes));
  absl::StatusOr<ShardIndex> index = ParseIndex(text);
  if (!index.ok()) return Annotate(index.status(), index_path);
  ModelTensors model;
  for (const std::string& shard : index->shards) {
    ASSIGN_OR_RETURN(auto file, SafetensorsFile::Open(absl::StrCat(model_dir, "/", shard)));
    if (absl::Status added = AddShard(*index, shard, file, model); !added.ok())
      return Annotate(added, index_path);
  }
  if (absl::Status complete = CheckComplete(*index, model); !complete.ok())
    return Annotate(complete, index_path);
  return model;
}

}  // namespace

absl::StatusOr<ModelTensors> OpenModelTensors(const std::string& model_dir) {
  const std::string single = model_dir + "/model.safetensors";
  const std::string index = single + ".index.json";
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    ASSIGN_OR_RETURN(auto file, SafetensorsFile::Open(single));
    ModelTensors model;
    model.tensors = file->tensors();
    model.files.push_back(std::move(file));
    return model;
  }
  if (std::filesystem::exists(index, ignored)) return OpenShards(model_dir, index);
  return absl::NotFoundError(absl::StrCat(model_dir,
                                          ": no weights; a model folder needs model.safetensors or "
                                          "model.safetensors.index.json with its shards"));
}

}  // namespace dropbp::hf
