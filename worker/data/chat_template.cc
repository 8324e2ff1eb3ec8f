#include "worker/data/chat_template.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "worker/data/jinja/evaluator.h"
#include "worker/data/jinja/parser.h"
#include "worker/data/json_fields.h"
#include "worker/data/special_tokens.h"

namespace dropbp::data {
namespace {

using jinja::Value;
using nlohmann::json;
using TokenNames = std::map<std::string, std::string>;

constexpr size_t kMaxTemplateBytes = 1 << 20;

bool HasGeneration(const jinja::Block& block) {
  return std::any_of(block.begin(), block.end(), [](const auto& statement) {
    return statement->kind == jinja::Statement::Kind::kGeneration ||
           HasGeneration(statement->body) || HasGeneration(statement->otherwise) ||
           std::any_of(statement->branches.begin(), statement->branches.end(),
                       [](const auto& branch) { return HasGeneration(branch.second); });
  });
}

class JinjaChatTemplate : public ChatTemplate {
 public:
  JinjaChatTemplate(jinja::Block block, const TokenNames& special_tokens, const Clock& clock)
      : block_(std::move(block)), marks_generation_(HasGeneration(block_)), clock_(clock) {
    // What apply_chat_template passes where there are no documents.
    variables_.emplace_back("documents", jinja::None{});
    for (const auto& [name, token] : special_tokens) variables_.emplace_back(name, token);
  }

  using ChatTemplate::Render;

  absl::StatusOr<RenderedChat> Render(absl::Span<const Message> messages,
                                      bool add_generation_prompt,
                                      const Value& tools) const override {
    std::vector<Value> list;
    for (const Message& message : messages) {
      list.push_back(
          Value::MakeDict(message.fields.empty()
                              ? jinja::Entries{{"role", message.role}, {"content", message.content}}
                              : message.fields));
    }
    jinja::Entries variables = variables_;
    variables.emplace_back("tools", tools);
    variables.emplace_back("messages", std::move(list));
    variables.emplace_back("add_generation_prompt", add_generation_prompt);
    absl::StatusOr<jinja::Rendering> rendering =
        jinja::Render(block_, std::move(variables), clock_);
    if (!rendering.ok()) return Annotate(rendering.status(), "chat template");
    RenderedChat chat;
    chat.text = std::move(rendering->text);
    for (const auto& [begin, end] : rendering->generation) chat.generation.push_back({begin, end});
    return chat;
  }

  bool MarksGeneration() const override { return marks_generation_; }

 private:
  const jinja::Block block_;
  const bool marks_generation_;
  const Clock& clock_;
  jinja::Entries variables_;
};

// The template of tokenizer_config.json; empty if it has none.
absl::StatusOr<std::string> TemplateOf(const json& config) {
  const json* source = FindField(config, "chat_template");
  if (source == nullptr) return "";
  if (source->is_string()) return source->get<std::string>();
  if (source->is_array()) {
    for (const json& entry : *source) {
      const json* name = FindField(entry, "name");
      const json* text = FindField(entry, "template");
      if (name != nullptr && *name == "default" && text != nullptr && text->is_string())
        return text->get<std::string>();
    }
  }
  return absl::InvalidArgumentError(
      "chat_template: legal is a text, or a list of {name, template} with one that is named "
      "default");
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Parse(std::string_view source,
                                                                        TokenNames special_tokens,
                                                                        const Clock& clock) {
  if (source.size() > kMaxTemplateBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a chat template of ", source.size(), " bytes, legal are at most ", kMaxTemplateBytes));
  }
  ASSIGN_OR_RETURN(jinja::Block block, jinja::ParseTemplate(source));
  return std::make_unique<JinjaChatTemplate>(std::move(block), special_tokens, clock);
}

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Parse(std::string_view source,
                                                                        std::string bos_token,
                                                                        std::string eos_token) {
  return Parse(
      source, TokenNames{{"bos_token", std::move(bos_token)}, {"eos_token", std::move(eos_token)}});
}

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Load(const std::string& model_dir,
                                                                       const Clock& clock) {
  const std::string config_path = model_dir + "/tokenizer_config.json";
  std::string template_path = model_dir + "/chat_template.jinja";
  ASSIGN_OR_RETURN(const json config, ReadTokenizerConfig(model_dir));
  std::string source;
  std::error_code ignored;
  if (std::filesystem::exists(template_path, ignored)) {
    ASSIGN_OR_RETURN(source, ReadFile(template_path, kMaxTemplateBytes));
  } else {
    template_path = config_path;
    absl::StatusOr<std::string> text = TemplateOf(config);
    if (!text.ok()) return Annotate(text.status(), config_path);
    source = *std::move(text);
  }
  if (source.empty())
    return absl::NotFoundError(absl::StrCat(model_dir, ": the model has no chat template"));
  auto parsed = Parse(source, SpecialTokens(config), clock);
  if (!parsed.ok()) return Annotate(parsed.status(), template_path + ": chat template");
  return parsed;
}

}  // namespace dropbp::data
