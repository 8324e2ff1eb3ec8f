// One record of a data file as a dialogue or a text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/data/chat_template.h"
#include "worker/data/field_names.h"
#include "worker/data/message_reader.h"

namespace dropbp::data {

enum class RecordFormat { kMessages, kConversations, kAlpaca, kPromptCompletion, kText };

// The name that a job gives a format: messages, conversations, alpaca, prompt_completion, text.
const char* RecordFormatName(RecordFormat format);

// A record of any format. Alpaca and prompt/completion are a user turn and an assistant turn, the
// latter lists of messages too; a text is no dialogue.
struct Record {
  RecordFormat format = RecordFormat::kMessages;
  std::vector<Message> messages;
  size_t prompt_messages = 0;  // of a prompt that is a list of messages: none of them is an answer
  jinja::Value tools = jinja::None{};  // what the template gets as `tools`
  std::string text;                    // with format text

  // Whether loss may lie on a message: an assistant's behind the prompt, unless the data says that
  // it carries none.
  bool IsAnswer(size_t message) const;
  // Index of the last answer; -1 if there is none.
  int64_t LastAnswer() const;
  // Whether the record is made of messages, so that only a chat template can write it as a text.
  bool NeedsTemplate() const;
};

// Reads records of one format.
class RecordParser {
 public:
  // `names`: under which key a file has what is called messages, conversations, system, tools,
  // role, content, from, value, weight, train, instruction, input, output, prompt, completion or
  // text; the same name where there is none.
  using Names = FieldNames::Names;

  // For the format with this name or, with "auto", the format whose keys `first` has: "messages";
  // "conversations"; "instruction" and "output"; "prompt" and "completion"; "text".
  static absl::StatusOr<RecordParser> For(const std::string& format, Names names,
                                          const nlohmann::ordered_json& first);

  // The keys of a record that have a meaning in any format, as a file names them.
  static std::vector<std::string> Keys(const Names& names);

  RecordFormat format() const { return format_; }

  // INVALID_ARGUMENT names the key, what was found and what is legal. Keys that have no meaning
  // here are ignored. The template gets messages with all their keys.
  absl::StatusOr<Record> Parse(const nlohmann::ordered_json& record) const;

 private:
  RecordParser(RecordFormat format, Names names) : format_(format), names_(std::move(names)) {}

  absl::Status ReadFormat(const nlohmann::ordered_json& object, Record& record) const;
  absl::Status ReadDialogue(const nlohmann::ordered_json& object, const char* key,
                            MessageReader::Names names, Record& record) const;
  absl::Status ReadAlpaca(const nlohmann::ordered_json& object, Record& record) const;
  absl::Status ReadPromptCompletion(const nlohmann::ordered_json& object, Record& record) const;
  absl::Status ReadSystem(const nlohmann::ordered_json& object, Record& record) const;
  absl::Status ReadTools(const nlohmann::ordered_json& object, Record& record) const;

  RecordFormat format_;
  FieldNames names_;
};

}  // namespace dropbp::data
