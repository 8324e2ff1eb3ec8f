// The messages of a dialogue as data files have them.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/data/chat_template.h"
#include "worker/data/field_names.h"

namespace dropbp::data {

// Reads messages of OpenAI, {"role", "content"}, and turns of ShareGPT, {"from", "value"}; each
// message tells by its keys which it is. Either may say by "weight" (OpenAI) or "train" (Axolotl)
// whether it carries loss. What is said may be text or a list of parts {"type": "text", "text"},
// which are joined without anything between them.
class MessageReader {
 public:
  // Who speaks: with kRoles, what stands under "role" is the template's own name for it, whatever
  // it is; with kSpeakers, it is one of ShareGPT's names (human, gpt, ...), which are put in the
  // template's words. What stands under "from" always is one of these.
  enum class Names { kRoles, kSpeakers };

  // `fields` must outlive the reader.
  explicit MessageReader(const FieldNames& fields) : fields_(fields) {}

  // The list under `key` of a record. INVALID_ARGUMENT names the message, its key, what was found
  // and what is legal.
  absl::StatusOr<std::vector<Message>> Read(const nlohmann::ordered_json& record,
                                            const std::string& key, Names names) const;

 private:
  absl::StatusOr<Message> ReadMessage(const nlohmann::ordered_json& object,
                                      const std::string& where, Names names) const;
  absl::StatusOr<Message> ReadTurn(const nlohmann::ordered_json& object,
                                   const std::string& where) const;
  absl::StatusOr<std::string> SpeakerRole(const nlohmann::ordered_json& object,
                                          const std::string& where, const char* key) const;
  absl::StatusOr<std::string> ReadContent(const nlohmann::ordered_json& object,
                                          const std::string& where, const char* key) const;
  absl::StatusOr<std::optional<bool>> ReadTraining(const nlohmann::ordered_json& object,
                                                   const std::string& where) const;

  const FieldNames& fields_;
};

}  // namespace dropbp::data
