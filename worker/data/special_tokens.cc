#include "worker/data/special_tokens.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "worker/data/json_fields.h"
#include "worker/hf/json.h"
#include "worker/hf/model_config.h"

namespace dropbp::data {
namespace {

using nlohmann::json;

constexpr int64_t kMaxFileBytes = 4 << 20;
constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

}  // namespace

absl::StatusOr<json> ReadTokenizerConfig(const std::string& model_dir) {
  const std::string path = model_dir + "/tokenizer_config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return json::object();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  absl::StatusOr<json> config = hf::ParseJson(text);
  if (!config.ok()) return Annotate(config.status(), path);
  return config;
}

std::map<std::string, std::string> SpecialTokens(const json& tokenizer_config) {
  std::map<std::string, std::string> tokens;
  for (const char* name : kNames) {
    const json* token = FindField(tokenizer_config, name);
    // Written as text or as an added token {content, ...}.
    if (token != nullptr && token->is_object()) token = FindField(*token, "content");
    if (token != nullptr && token->is_string()) tokens[name] = token->get<std::string>();
  }
  return tokens;
}

absl::StatusOr<std::string> EndTokenText(const std::string& model_dir, const Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(const json config, ReadTokenizerConfig(model_dir));
  const auto tokens = SpecialTokens(config);
  const auto named = tokens.find("eos_token");
  if (named != tokens.end() && tokenizer.TokenToId(named->second) >= 0) return named->second;
  const absl::StatusOr<hf::ModelConfig> model = hf::ReadModelConfig(model_dir);
  if (model.ok() && !model->eos_token_ids.empty()) {
    const std::string text(tokenizer.Token(static_cast<TokenId>(model->eos_token_ids[0])));
    if (!text.empty()) return text;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      model_dir,
      ": no end token; tokenizer_config.json needs eos_token, or config.json eos_token_id"));
}

}  // namespace dropbp::data
