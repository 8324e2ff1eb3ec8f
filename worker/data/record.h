// One line of a data file as a dialogue.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "worker/data/chat_template.h"

namespace dropbp::data {

enum class RecordFormat { kMessages, kAlpaca, kPromptCompletion };

// The name that a job gives a format: messages, alpaca, prompt_completion.
const char* RecordFormatName(RecordFormat format);

// A record of any format. Alpaca and prompt/completion are a user turn and an assistant turn.
struct Record {
  RecordFormat format = RecordFormat::kMessages;
  std::vector<Message> messages;

  // Index of the last assistant message; -1 if there is none.
  int64_t LastAnswer() const;
};

// The format whose keys the record of this line has: "messages"; "instruction" and "output";
// "prompt" and "completion".
absl::StatusOr<RecordFormat> RecognizeFormat(std::string_view line);

// Parses a line. INVALID_ARGUMENT names the key, what was found and what is legal. Keys that have
// no meaning here are ignored, apart from "tools" and "tool_calls", which would change the
// rendering and are refused.
absl::StatusOr<Record> ParseRecord(std::string_view line, RecordFormat format);

}  // namespace dropbp::data
