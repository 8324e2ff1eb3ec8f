#include "worker/data/record.h"

#include <algorithm>
#include <iterator>
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

constexpr std::pair<RecordFormat, const char*> kFormats[] = {
    {RecordFormat::kMessages, "messages"},
    {RecordFormat::kConversations, "conversations"},
    {RecordFormat::kAlpaca, "alpaca"},
    {RecordFormat::kPromptCompletion, "prompt_completion"},
    {RecordFormat::kText, "text"}};

absl::Status CheckObject(const ordered_json& record) {
  if (record.is_object()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("found ", DescribeJson(record), ", legal is an object"));
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

bool Record::IsAnswer(size_t message) const {
  return messages[message].role == "assistant" && message >= prompt_messages &&
         messages[message].train.value_or(true);
}

int64_t Record::LastAnswer() const {
  for (size_t i = messages.size(); i-- > 0;) {
    if (IsAnswer(i)) return static_cast<int64_t>(i);
  }
  return -1;
}

bool Record::NeedsTemplate() const {
  return format == RecordFormat::kMessages || format == RecordFormat::kConversations ||
         prompt_messages > 0;
}

absl::StatusOr<RecordParser> RecordParser::For(const std::string& format, Names names,
                                               const ordered_json& first) {
  RecordParser parser(RecordFormat::kMessages, std::move(names));
  if (const auto named = NamedFormat(format); named.has_value()) {
    parser.format_ = *named;
    return parser;
  }
  RETURN_IF_ERROR(CheckObject(first));
  const auto has = [&](const char* key) { return first.contains(parser.names_.Of(key)); };
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
  const FieldNames fields(names);
  std::vector<std::string> keys;
  for (const char* key : {"messages", "tools", "conversations", "system", "instruction", "input",
                          "history", "output", "prompt", "completion", "text"})
    keys.push_back(fields.Of(key));
  return keys;
}

// "input" is optional and often empty.
absl::Status RecordParser::ReadAlpaca(const ordered_json& object, Record& record) const {
  ASSIGN_OR_RETURN(std::string prompt, names_.NeededText(object, "", "instruction"));
  ASSIGN_OR_RETURN(std::string answer, names_.NeededText(object, "", "output"));
  ASSIGN_OR_RETURN(const std::string input, names_.OptionalText(object, "input"));
  if (!input.empty()) absl::StrAppend(&prompt, "\n\n", input);
  // LLaMA-Factory's earlier turns.
  const ordered_json* history = names_.Find(object, "history");
  if (history != nullptr && history->is_array() && !history->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("history is ", DescribeJson(*history),
                     ", which is not supported beside instruction; write the record as messages"));
  }
  record.messages = {PlainMessage("user", std::move(prompt)),
                     PlainMessage("assistant", std::move(answer))};
  return absl::OkStatus();
}

// Texts, or lists of messages as TRL has them.
absl::Status RecordParser::ReadPromptCompletion(const ordered_json& object, Record& record) const {
  const ordered_json* prompt_list = names_.Find(object, "prompt");
  if (prompt_list == nullptr || !prompt_list->is_array()) {
    ASSIGN_OR_RETURN(std::string prompt, names_.NeededText(object, "", "prompt"));
    ASSIGN_OR_RETURN(std::string completion, names_.NeededText(object, "", "completion"));
    record.messages = {PlainMessage("user", std::move(prompt)),
                       PlainMessage("assistant", std::move(completion))};
    return absl::OkStatus();
  }
  const MessageReader reader(names_);
  ASSIGN_OR_RETURN(record.messages, reader.Read(object, "prompt", MessageReader::Names::kRoles));
  record.prompt_messages = record.messages.size();
  ASSIGN_OR_RETURN(std::vector<Message> completion,
                   reader.Read(object, "completion", MessageReader::Names::kRoles));
  std::move(completion.begin(), completion.end(), std::back_inserter(record.messages));
  return absl::OkStatus();
}

// A system message beside the dialogue comes first.
absl::Status RecordParser::ReadSystem(const ordered_json& object, Record& record) const {
  ASSIGN_OR_RETURN(std::string system, names_.OptionalText(object, "system"));
  if (system.empty()) return absl::OkStatus();
  const Message& first = record.messages.front();
  if (first.role == "system") {
    if (first.content == system) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(names_.Of("system"), " is ", hf::QuoteForError(system),
                     ", and the dialogue begins with another system message, ",
                     hf::QuoteForError(first.content), "; legal is one of them"));
  }
  record.messages.insert(record.messages.begin(), PlainMessage("system", std::move(system)));
  if (record.prompt_messages > 0) ++record.prompt_messages;
  return absl::OkStatus();
}

absl::Status RecordParser::ReadTools(const ordered_json& object, Record& record) const {
  const ordered_json* tools = names_.Find(object, "tools");
  if (tools == nullptr || tools->empty() || *tools == "" || *tools == "[]") return absl::OkStatus();
  const std::string name = names_.Of("tools");
  if (format_ == RecordFormat::kConversations) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is not supported in conversations; write messages"));
  }
  if (!tools->is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is ", DescribeJson(*tools), ", legal is a list of objects"));
  }
  auto value = jinja::FromJson(*tools);
  if (!value.ok()) return Annotate(value.status(), name);
  record.tools = *std::move(value);
  return absl::OkStatus();
}

absl::Status RecordParser::ReadDialogue(const ordered_json& object, const char* key,
                                        MessageReader::Names names, Record& record) const {
  ASSIGN_OR_RETURN(record.messages, MessageReader(names_).Read(object, key, names));
  return absl::OkStatus();
}

absl::Status RecordParser::ReadFormat(const ordered_json& object, Record& record) const {
  switch (format_) {
    case RecordFormat::kMessages:
      return ReadDialogue(object, "messages", MessageReader::Names::kRoles, record);
    case RecordFormat::kConversations:
      return ReadDialogue(object, "conversations", MessageReader::Names::kSpeakers, record);
    case RecordFormat::kAlpaca:
      return ReadAlpaca(object, record);
    case RecordFormat::kPromptCompletion:
      return ReadPromptCompletion(object, record);
    case RecordFormat::kText:
      break;
  }
  ASSIGN_OR_RETURN(record.text, names_.NeededText(object, "", "text"));
  return absl::OkStatus();
}

absl::StatusOr<Record> RecordParser::Parse(const ordered_json& object) const {
  RETURN_IF_ERROR(CheckObject(object));
  Record record;
  record.format = format_;
  RETURN_IF_ERROR(ReadFormat(object, record));
  if (format_ == RecordFormat::kText) return record;
  RETURN_IF_ERROR(ReadSystem(object, record));
  RETURN_IF_ERROR(ReadTools(object, record));
  return record;
}

}  // namespace dropbp::data
