// One record of a data file as a dialogue or a text.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "worker/data/chat_template.h"

namespace dropbp::data {

enum class RecordFormat { kMessages, kConversations, kAlpaca, kPromptCompletion, kText };

// The name that a job gives a format: messages, conversations, alpaca, prompt_completion, text.
const char* RecordFormatName(RecordFormat format);

// A record of any format. Alpaca and prompt/completion are a user turn and an assistant turn; a
// text is neither.
struct Record {
  RecordFormat format = RecordFormat::kMessages;
  std::vector<Message> messages;
  jinja::Value tools = jinja::None{};  // what the template gets as `tools`
  std::string text;                    // with format text

  // Index of the last assistant message; -1 if there is none.
  int64_t LastAnswer() const;
};

// Reads records of one format.
class RecordParser {
 public:
  // `names`: under which key a file has what is called messages, conversations, system, tools,
  // role, content, from, value, instruction, input, output, prompt, completion or text; the same
  // name where there is none.
  using Names = std::map<std::string, std::string>;

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

  std::string Name(const std::string& key) const;
  absl::StatusOr<std::string> NeededText(const nlohmann::ordered_json& object,
                                         const std::string& where, const char* key) const;
  absl::StatusOr<const nlohmann::ordered_json*> Turns(const nlohmann::ordered_json& record,
                                                      const char* key, const char* legal) const;
  absl::StatusOr<Message> ReadMessage(const nlohmann::ordered_json& message,
                                      const std::string& where) const;
  absl::StatusOr<Message> ReadTurn(const nlohmann::ordered_json& turn,
                                   const std::string& where) const;
  absl::Status ReadMessages(const nlohmann::ordered_json& object, Record& record) const;
  absl::Status ReadConversations(const nlohmann::ordered_json& object, Record& record) const;
  absl::Status ReadAlpaca(const nlohmann::ordered_json& object, Record& record) const;
  absl::Status ReadPromptCompletion(const nlohmann::ordered_json& object, Record& record) const;

  RecordFormat format_;
  Names names_;
};

}  // namespace dropbp::data
