#include "worker/data/record.h"

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "worker/data/json_fields.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

using hf::DescribeJson;
using nlohmann::json;

constexpr size_t kMaxMessages = 4096;
constexpr size_t kMaxRoleBytes = 64;
constexpr hf::JsonLimits kLineLimits = {.max_depth = 64, .max_values = 1'000'000};

absl::StatusOr<json> ParseObject(std::string_view line) {
  absl::StatusOr<json> record = hf::ParseJson(line, kLineLimits);
  if (!record.ok()) {
    // A record is one line, so that "line 1" of it says nothing.
    std::string_view why(record.status().message().data(), record.status().message().size());
    constexpr std::string_view kFirstLine = "line 1, ";
    if (why.substr(0, kFirstLine.size()) == kFirstLine) why.remove_prefix(kFirstLine.size());
    return absl::InvalidArgumentError(AbslView(why));
  }
  if (!record->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", DescribeJson(*record), ", legal is an object"));
  }
  return record;
}

// Text under a key that must be there.
absl::StatusOr<std::string> NeededText(const json& object, const std::string& where,
                                       const char* key) {
  const auto value = object.find(key);
  if (value == object.end())
    return absl::InvalidArgumentError(absl::StrCat(where, key, " is missing"));
  if (!value->is_string()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, key, " is ", DescribeJson(*value), ", legal is text"));
  }
  return value->get<std::string>();
}

absl::Status RefuseKey(const json& object, const std::string& where, const char* key) {
  const json* value = FindField(object, key);
  if (value == nullptr || value->empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(where, key, " is not supported"));
}

absl::StatusOr<Message> ReadMessage(const json& message, const std::string& where) {
  if (!message.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, "found ", DescribeJson(message), ", legal is {\"role\": text, \"content\": text}"));
  }
  Message result;
  ASSIGN_OR_RETURN(result.role, NeededText(message, where, "role"));
  ASSIGN_OR_RETURN(result.content, NeededText(message, where, "content"));
  RETURN_IF_ERROR(RefuseKey(message, where, "tool_calls"));
  if (result.role.empty() || result.role.size() > kMaxRoleBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, "role is ", hf::QuoteForError(result.role),
                     ", legal is a text of 1 to ", kMaxRoleBytes, " bytes"));
  }
  return result;
}

absl::StatusOr<std::vector<Message>> ReadMessages(const json& record) {
  const auto list = record.find("messages");
  if (list == record.end()) return absl::InvalidArgumentError("messages is missing");
  if (!list->is_array() || list->empty() || list->size() > kMaxMessages) {
    return absl::InvalidArgumentError(absl::StrCat("messages is ", DescribeJson(*list),
                                                   ", legal is a list of 1 to ", kMaxMessages,
                                                   " messages"));
  }
  RETURN_IF_ERROR(RefuseKey(record, "", "tools"));
  std::vector<Message> messages;
  for (size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(Message message, ReadMessage((*list)[i], absl::StrCat("messages[", i, "].")));
    messages.push_back(std::move(message));
  }
  return messages;
}

std::vector<Message> UserAndAssistant(std::string prompt, std::string answer) {
  return {{"user", std::move(prompt)}, {"assistant", std::move(answer)}};
}

// "input" is optional and often empty.
absl::StatusOr<std::vector<Message>> ReadAlpaca(const json& record) {
  ASSIGN_OR_RETURN(std::string prompt, NeededText(record, "", "instruction"));
  ASSIGN_OR_RETURN(std::string answer, NeededText(record, "", "output"));
  if (FindField(record, "input") != nullptr) {
    ASSIGN_OR_RETURN(const std::string input, NeededText(record, "", "input"));
    if (!input.empty()) absl::StrAppend(&prompt, "\n\n", input);
  }
  return UserAndAssistant(std::move(prompt), std::move(answer));
}

absl::StatusOr<std::vector<Message>> ReadPromptCompletion(const json& record) {
  ASSIGN_OR_RETURN(std::string prompt, NeededText(record, "", "prompt"));
  ASSIGN_OR_RETURN(std::string completion, NeededText(record, "", "completion"));
  return UserAndAssistant(std::move(prompt), std::move(completion));
}

}  // namespace

const char* RecordFormatName(RecordFormat format) {
  switch (format) {
    case RecordFormat::kMessages:
      return "messages";
    case RecordFormat::kAlpaca:
      return "alpaca";
    default:
      return "prompt_completion";
  }
}

int64_t Record::LastAnswer() const {
  for (int64_t i = static_cast<int64_t>(messages.size()) - 1; i >= 0; --i) {
    if (messages[static_cast<size_t>(i)].role == "assistant") return i;
  }
  return -1;
}

absl::StatusOr<RecordFormat> RecognizeFormat(std::string_view line) {
  ASSIGN_OR_RETURN(const json record, ParseObject(line));
  if (record.contains("messages")) return RecordFormat::kMessages;
  if (record.contains("instruction") && record.contains("output")) return RecordFormat::kAlpaca;
  if (record.contains("prompt") && record.contains("completion"))
    return RecordFormat::kPromptCompletion;
  std::string keys;
  for (const auto& [key, value] : record.items()) {
    absl::StrAppend(&keys, keys.empty() ? "" : ", ", hf::QuoteForError(key));
  }
  return absl::InvalidArgumentError(absl::StrCat("found the keys ", hf::QuoteForError(keys, 300),
                                                 "; legal are \"messages\", or \"instruction\" and "
                                                 "\"output\", or \"prompt\" and \"completion\""));
}

absl::StatusOr<Record> ParseRecord(std::string_view line, RecordFormat format) {
  ASSIGN_OR_RETURN(const json object, ParseObject(line));
  absl::StatusOr<std::vector<Message>> messages =
      format == RecordFormat::kMessages ? ReadMessages(object)
      : format == RecordFormat::kAlpaca ? ReadAlpaca(object)
                                        : ReadPromptCompletion(object);
  if (!messages.ok()) return messages.status();
  return Record{format, *std::move(messages)};
}

}  // namespace dropbp::data
