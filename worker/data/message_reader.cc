#include "worker/data/message_reader.h"

#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/data/jinja/from_json.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

using hf::DescribeJson;
using nlohmann::ordered_json;

constexpr size_t kMaxMessages = 4096;
constexpr size_t kMaxRoleBytes = 64;

// Who speaks in ShareGPT's conversations, and the role that templates know him by.
constexpr std::pair<std::string_view, const char*> kSpeakers[] = {
    {"human", "user"},          {"user", "user"},         {"gpt", "assistant"},
    {"assistant", "assistant"}, {"chatgpt", "assistant"}, {"model", "assistant"},
    {"bot", "assistant"},       {"system", "system"},     {"tool", "tool"},
    {"observation", "tool"}};

absl::StatusOr<std::string> CheckRole(std::string role, const std::string& where) {
  if (!role.empty() && role.size() <= kMaxRoleBytes) return role;
  return absl::InvalidArgumentError(absl::StrCat(where, "role is ", hf::QuoteForError(role),
                                                 ", legal is a text of 1 to ", kMaxRoleBytes,
                                                 " bytes"));
}

absl::StatusOr<std::string> JoinParts(const ordered_json& parts, const std::string& where) {
  constexpr const char* kLegal = R"({"type": "text", "text": text})";
  if (parts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " is ", DescribeJson(parts), ", legal is text, or a list of ", kLegal));
  }
  std::string joined;
  for (size_t i = 0; i < parts.size(); ++i) {
    const ordered_json& part = parts[i];
    const std::string part_name = absl::StrCat(where, "[", i, "]");
    const auto type = part.is_object() ? part.find("type") : part.end();
    if (!part.is_object() || type == part.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(part_name, " is ", DescribeJson(part), ", legal is ", kLegal));
    }
    if (*type != "text") {
      return absl::InvalidArgumentError(absl::StrCat(
          part_name, ".type is ", DescribeJson(*type),
          ", legal is \"text\": models learn from text alone; leave this record out, or the part"));
    }
    const auto text = part.find("text");
    if (text == part.end() || !text->is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat(part_name, ".text is ", text == part.end() ? "missing" : DescribeJson(*text),
                       ", legal is text"));
    }
    joined += text->get_ref<const std::string&>();
  }
  return joined;
}

}  // namespace

absl::StatusOr<std::vector<Message>> MessageReader::Read(const ordered_json& record,
                                                         const std::string& key,
                                                         Names names) const {
  const std::string name = fields_.Of(key);
  const auto list = record.find(name);
  if (list == record.end()) return absl::InvalidArgumentError(absl::StrCat(name, " is missing"));
  if (!list->is_array() || list->empty() || list->size() > kMaxMessages) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is ", DescribeJson(*list),
                                                   ", legal is a list of 1 to ", kMaxMessages,
                                                   " messages"));
  }
  std::vector<Message> messages;
  for (size_t i = 0; i < list->size(); ++i) {
    const ordered_json& object = (*list)[i];
    const std::string where = absl::StrCat(name, "[", i, "].");
    if (!object.is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "found ", DescribeJson(object), ", legal is ",
                       names == Names::kRoles ? R"({"role": text, "content": text})"
                                              : R"({"from": text, "value": text})"));
    }
    const bool has_role = object.contains(fields_.Of("role"));
    const bool has_from = object.contains(fields_.Of("from"));
    const bool is_turn = has_from == has_role ? names == Names::kSpeakers : has_from;
    ASSIGN_OR_RETURN(Message message,
                     is_turn ? ReadTurn(object, where) : ReadMessage(object, where, names));
    ASSIGN_OR_RETURN(message.train, ReadTraining(object, where));
    messages.push_back(std::move(message));
  }
  return messages;
}

absl::StatusOr<Message> MessageReader::ReadMessage(const ordered_json& object,
                                                   const std::string& where, Names names) const {
  Message message;
  if (names == Names::kSpeakers) {
    ASSIGN_OR_RETURN(message.role, SpeakerRole(object, where, "role"));
  } else {
    ASSIGN_OR_RETURN(message.role, fields_.NeededText(object, where, "role"));
    ASSIGN_OR_RETURN(message.role, CheckRole(std::move(message.role), where));
  }
  // An assistant that calls a tool need not say anything.
  const bool says_nothing = fields_.Find(object, "content") == nullptr &&
                            object.contains("tool_calls") && !object["tool_calls"].is_null();
  if (!says_nothing) {
    ASSIGN_OR_RETURN(message.content, ReadContent(object, where, "content"));
  }
  for (const auto& [key, value] : object.items()) {
    if (key == fields_.Of("role")) {
      message.fields.emplace_back("role", message.role);
    } else if (key == fields_.Of("content") && !says_nothing) {
      message.fields.emplace_back("content", message.content);
    } else {
      auto field = jinja::FromJson(value);
      if (!field.ok()) return Annotate(field.status(), where + key);
      message.fields.emplace_back(key == fields_.Of("content") ? "content" : key,
                                  *std::move(field));
    }
  }
  return message;
}

absl::StatusOr<Message> MessageReader::ReadTurn(const ordered_json& object,
                                                const std::string& where) const {
  Message message;
  ASSIGN_OR_RETURN(message.role, SpeakerRole(object, where, "from"));
  ASSIGN_OR_RETURN(message.content, ReadContent(object, where, "value"));
  return message;
}

absl::StatusOr<std::string> MessageReader::SpeakerRole(const ordered_json& object,
                                                       const std::string& where,
                                                       const char* key) const {
  ASSIGN_OR_RETURN(const std::string from, fields_.NeededText(object, where, key));
  for (const auto& [speaker, role] : kSpeakers) {
    if (from == speaker) return role;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(where, fields_.Of(key), " is ", hf::QuoteForError(from),
                   ", legal are human, gpt, system, tool, user and assistant"));
}

absl::StatusOr<std::string> MessageReader::ReadContent(const ordered_json& object,
                                                       const std::string& where,
                                                       const char* key) const {
  const ordered_json* content = fields_.Find(object, key);
  if (content == nullptr || !content->is_array()) return fields_.NeededText(object, where, key);
  return JoinParts(*content, where + fields_.Of(key));
}

// Parquet files that pandas wrote have whole numbers as real ones where some are missing.
absl::StatusOr<std::optional<bool>> MessageReader::ReadTraining(const ordered_json& object,
                                                                const std::string& where) const {
  std::optional<bool> trained;
  if (const ordered_json* weight = fields_.Find(object, "weight"); weight != nullptr) {
    if (!weight->is_number() || (*weight != 0 && *weight != 1)) {
      return absl::InvalidArgumentError(absl::StrCat(where, fields_.Of("weight"), " is ",
                                                     DescribeJson(*weight),
                                                     ", legal are 0 (no loss) and 1"));
    }
    trained = *weight == 1;
  }
  if (const ordered_json* train = fields_.Find(object, "train"); train != nullptr) {
    if (!train->is_boolean()) {
      return absl::InvalidArgumentError(absl::StrCat(where, fields_.Of("train"), " is ",
                                                     DescribeJson(*train),
                                                     ", legal are true and false (no loss)"));
    }
    const bool value = train->get<bool>();
    if (trained.value_or(value) != value) {
      return absl::InvalidArgumentError(absl::StrCat(where, fields_.Of("train"), " is ",
                                                     DescribeJson(*train), ", ",
                                                     fields_.Of("weight"), " says otherwise"));
    }
    trained = value;
  }
  const auto detail = object.find("train_detail");
  if (detail == object.end() || detail->is_null() || detail->empty()) return trained;
  return absl::InvalidArgumentError(
      absl::StrCat(where,
                   "train_detail is not supported; legal is a message that is trained on, "
                   "or not, as a whole: \"train\""));
}

}  // namespace dropbp::data
