#include "worker/data/record.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/data/jinja/from_json.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

using hf::DescribeJson;
using nlohmann::ordered_json;

constexpr size_t kMaxMessages = 4096;
constexpr size_t kMaxRoleBytes = 64;

constexpr std::pair<RecordFormat, const char*> kFormats[] = {
    {RecordFormat::kMessages, "messages"},
    {RecordFormat::kConversations, "conversations"},
    {RecordFormat::kAlpaca, "alpaca"},
    {RecordFormat::kPromptCompletion, "prompt_completion"},
    {RecordFormat::kText, "text"}};

// Who speaks in ShareGPT's conversations, and the role that templates know him by.
constexpr std::pair<std::string_view, const char*> kSpeakers[] = {
    {"human", "user"},          {"user", "user"},         {"gpt", "assistant"},
    {"assistant", "assistant"}, {"chatgpt", "assistant"}, {"model", "assistant"},
    {"bot", "assistant"},       {"system", "system"},     {"tool", "tool"},
    {"observation", "tool"}};

absl::Status CheckObject(const ordered_json& record) {
  if (record.is_object()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("found ", DescribeJson(record), ", legal is an object"));
}

const ordered_json* Find(const ordered_json& object, const std::string& key) {
  const auto value = object.find(key);
  return value == object.end() || value->is_null() ? nullptr : &*value;
}

absl::StatusOr<std::string> CheckRole(std::string role, const std::string& where) {
  if (!role.empty() && role.size() <= kMaxRoleBytes) return role;
  return absl::InvalidArgumentError(absl::StrCat(where, "role is ", hf::QuoteForError(role),
                                                 ", legal is a text of 1 to ", kMaxRoleBytes,
                                                 " bytes"));
}

Message PlainMessage(const char* role, std::string content) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  return message;
}

// The format that a job names; nothing for auto.
std::optional<RecordFormat> NamedFormat(const std::string& name) {
  for (const auto& [format, own] : kFormats) {
    if (name == own) return format;
  }
  return std::nullopt;
}

// Of a record whose keys no format has.
absl::Status UnknownKeys(const ordered_json& record) {
  constexpr size_t kShown = 20;
  std::vector<std::string> keys;
  for (const auto& [key, value] : record.items()) keys.push_back(hf::QuoteForError(key));
  const std::string example = keys.size() < 2 ? ""
                                              : absl::StrCat(", for example {prompt: ", keys[0],
                                                             ", completion: ", keys[1], "}");
  if (keys.size() > kShown) keys.resize(kShown);
  return absl::InvalidArgumentError(absl::StrCat(
      "found the keys ", keys.empty() ? "none" : absl::StrJoin(keys, ", "),
      "; legal are \"messages\", \"conversations\", \"instruction\" and \"output\", \"prompt\" "
      "and \"completion\", or \"text\"; other names are told by dataset.fields",
      example));
}

}  // namespace

const char* RecordFormatName(RecordFormat format) {
  for (const auto& [known, name] : kFormats) {
    if (known == format) return name;
  }
  return "";
}

int64_t Record::LastAnswer() const {
  for (int64_t i = static_cast<int64_t>(messages.size()) - 1; i >= 0; --i) {
    if (messages[static_cast<size_t>(i)].role == "assistant") return i;
  }
  return -1;
}

absl::StatusOr<RecordParser> RecordParser::For(const std::string& format, Names names,
                                               const ordered_json& first) {
  RecordParser parser(RecordFormat::kMessages, std::move(names));
  if (const auto named = NamedFormat(format); named.has_value()) {
    parser.format_ = *named;
    return parser;
  }
  RETURN_IF_ERROR(CheckObject(first));
  const auto has = [&](const char* key) { return first.contains(parser.Name(key)); };
  if (has("messages")) {
    parser.format_ = RecordFormat::kMessages;
  } else if (has("conversations")) {
    parser.format_ = RecordFormat::kConversations;
  } else if (has("instruction") && has("output")) {
    parser.format_ = RecordFormat::kAlpaca;
  } else if (has("prompt") && has("completion")) {
    parser.format_ = RecordFormat::kPromptCompletion;
  } else if (has("text")) {
    parser.format_ = RecordFormat::kText;
  } else {
    return UnknownKeys(first);
  }
  return parser;
}

std::vector<std::string> RecordParser::Keys(const Names& names) {
  const RecordParser parser(RecordFormat::kMessages, names);
  std::vector<std::string> keys;
  for (const char* key : {"messages", "tools", "conversations", "system", "instruction", "input",
                          "output", "prompt", "completion", "text"})
    keys.push_back(parser.Name(key));
  return keys;
}

std::string RecordParser::Name(const std::string& key) const {
  const auto name = names_.find(key);
  return name == names_.end() ? key : name->second;
}

// Text under a key that must be there.
absl::StatusOr<std::string> RecordParser::NeededText(const ordered_json& object,
                                                     const std::string& where,
                                                     const char* key) const {
  const std::string name = Name(key);
  const auto value = object.find(name);
  if (value == object.end())
    return absl::InvalidArgumentError(absl::StrCat(where, name, " is missing"));
  if (!value->is_string()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, name, " is ", DescribeJson(*value), ", legal is text"));
  }
  return value->get<std::string>();
}

// The list of messages or turns.
absl::StatusOr<const ordered_json*> RecordParser::Turns(const ordered_json& record, const char* key,
                                                        const char* legal) const {
  const std::string name = Name(key);
  const auto list = record.find(name);
  if (list == record.end()) return absl::InvalidArgumentError(absl::StrCat(name, " is missing"));
  if (!list->is_array() || list->empty() || list->size() > kMaxMessages) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is ", DescribeJson(*list),
                                                   ", legal is a list of 1 to ", kMaxMessages,
                                                   " messages"));
  }
  for (size_t i = 0; i < list->size(); ++i) {
    if (!(*list)[i].is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, "[", i, "].found ", DescribeJson((*list)[i]), ", legal is ", legal));
    }
  }
  return &*list;
}

absl::StatusOr<Message> RecordParser::ReadMessage(const ordered_json& object,
                                                  const std::string& where) const {
  Message message;
  ASSIGN_OR_RETURN(message.role, NeededText(object, where, "role"));
  ASSIGN_OR_RETURN(message.role, CheckRole(std::move(message.role), where));
  // An assistant that calls a tool need not say anything.
  const auto content = object.find(Name("content"));
  const bool says_nothing =
      (content == object.end() || content->is_null()) && Find(object, "tool_calls") != nullptr;
  if (!says_nothing) {
    ASSIGN_OR_RETURN(message.content, NeededText(object, where, "content"));
  }
  for (const auto& [key, value] : object.items()) {
    auto field = jinja::FromJson(value);
    if (!field.ok()) return Annotate(field.status(), where + key);
    const bool is_role = key == Name("role");
    const bool is_content = key == Name("content");
    message.fields.emplace_back(is_role ? "role" : is_content ? "content" : key, *std::move(field));
  }
  return message;
}

// A turn of ShareGPT.
absl::StatusOr<Message> RecordParser::ReadTurn(const ordered_json& object,
                                               const std::string& where) const {
  ASSIGN_OR_RETURN(const std::string from, NeededText(object, where, "from"));
  ASSIGN_OR_RETURN(std::string value, NeededText(object, where, "value"));
  for (const auto& [speaker, role] : kSpeakers) {
    if (from == speaker) return PlainMessage(role, std::move(value));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(where, Name("from"), " is ", hf::QuoteForError(from),
                   ", legal are human, gpt, system, tool, user and assistant"));
}

absl::Status RecordParser::ReadMessages(const ordered_json& object, Record& record) const {
  ASSIGN_OR_RETURN(const ordered_json* list,
                   Turns(object, "messages", "{\"role\": text, \"content\": text}"));
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string where = absl::StrCat(Name("messages"), "[", i, "].");
    ASSIGN_OR_RETURN(Message message, ReadMessage((*list)[i], where));
    record.messages.push_back(std::move(message));
  }
  const ordered_json* tools = Find(object, Name("tools"));
  if (tools == nullptr || tools->empty()) return absl::OkStatus();
  if (!tools->is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(Name("tools"), " is ", DescribeJson(*tools), ", legal is a list of objects"));
  }
  auto value = jinja::FromJson(*tools);
  if (!value.ok()) return Annotate(value.status(), Name("tools"));
  record.tools = *std::move(value);
  return absl::OkStatus();
}

absl::Status RecordParser::ReadConversations(const ordered_json& object, Record& record) const {
  ASSIGN_OR_RETURN(const ordered_json* list,
                   Turns(object, "conversations", "{\"from\": text, \"value\": text}"));
  if (Find(object, Name("system")) != nullptr) {
    ASSIGN_OR_RETURN(std::string system, NeededText(object, "", "system"));
    if (!system.empty()) record.messages.push_back(PlainMessage("system", std::move(system)));
  }
  if (const ordered_json* tools = Find(object, Name("tools"));
      tools != nullptr && !tools->empty() && *tools != "" && *tools != "[]") {
    return absl::InvalidArgumentError(
        absl::StrCat(Name("tools"), " is not supported in conversations; write messages"));
  }
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string where = absl::StrCat(Name("conversations"), "[", i, "].");
    ASSIGN_OR_RETURN(Message message, ReadTurn((*list)[i], where));
    record.messages.push_back(std::move(message));
  }
  return absl::OkStatus();
}

// "input" is optional and often empty.
absl::Status RecordParser::ReadAlpaca(const ordered_json& object, Record& record) const {
  ASSIGN_OR_RETURN(std::string prompt, NeededText(object, "", "instruction"));
  ASSIGN_OR_RETURN(std::string answer, NeededText(object, "", "output"));
  if (Find(object, Name("input")) != nullptr) {
    ASSIGN_OR_RETURN(const std::string input, NeededText(object, "", "input"));
    if (!input.empty()) absl::StrAppend(&prompt, "\n\n", input);
  }
  record.messages = {PlainMessage("user", std::move(prompt)),
                     PlainMessage("assistant", std::move(answer))};
  return absl::OkStatus();
}

absl::Status RecordParser::ReadPromptCompletion(const ordered_json& object, Record& record) const {
  ASSIGN_OR_RETURN(std::string prompt, NeededText(object, "", "prompt"));
  ASSIGN_OR_RETURN(std::string completion, NeededText(object, "", "completion"));
  record.messages = {PlainMessage("user", std::move(prompt)),
                     PlainMessage("assistant", std::move(completion))};
  return absl::OkStatus();
}

absl::StatusOr<Record> RecordParser::Parse(const ordered_json& object) const {
  RETURN_IF_ERROR(CheckObject(object));
  Record record;
  record.format = format_;
  switch (format_) {
    case RecordFormat::kMessages:
      RETURN_IF_ERROR(ReadMessages(object, record));
      break;
    case RecordFormat::kConversations:
      RETURN_IF_ERROR(ReadConversations(object, record));
      break;
    case RecordFormat::kAlpaca:
      RETURN_IF_ERROR(ReadAlpaca(object, record));
      break;
    case RecordFormat::kPromptCompletion:
      RETURN_IF_ERROR(ReadPromptCompletion(object, record));
      break;
    case RecordFormat::kText:
      ASSIGN_OR_RETURN(record.text, NeededText(object, "", "text"));
      break;
  }
  return record;
}

}  // namespace dropbp::data
