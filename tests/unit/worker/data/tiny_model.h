// Small model folders: a byte-level tokenizer with a few merges, and a chat template.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tests/unit/worker/hf/temporary_folder.h"
#include "worker/data/byte_level.h"

namespace dropbp::data {

// A tokenizer.json: ids 0 to 255 are the bytes, then come the results of `merges`, then the added
// tokens <s>, </s>,
// <|start|>, <|end|>, all special.
inline nlohmann::json TinyTokenizer(
    const std::vector<std::pair<std::string, std::string>>& merges = {}) {
  nlohmann::json vocab = nlohmann::json::object();
  for (int byte = 0; byte < 256; ++byte)
    vocab[ByteToCharacter(static_cast<unsigned char>(byte))] = byte;
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [left, right] : merges) {
    vocab[left + right] = vocab.size();
    list.push_back({left, right});
  }
  nlohmann::json added = nlohmann::json::array();
  for (const char* content : {"<s>", "</s>", "<|start|>", "<|end|>"}) {
    added.push_back({{"id", vocab.size() + added.size()},
                     {"content", content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  return {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", list}}}};
}

// Ids of the added tokens of TinyTokenizer() without merges.
inline constexpr int kBegin = 256;
inline constexpr int kEnd = 257;
inline constexpr int kTurnStart = 258;
inline constexpr int kTurnEnd = 259;

inline constexpr char kTinyChatTemplate[] =
    "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n{% "
    "endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

// Writes a model folder without weights. An empty template stands for none.
inline void WriteTinyModel(const TemporaryFolder& folder,
                           const std::string& chat_template = kTinyChatTemplate,
                           const nlohmann::json& tokenizer = TinyTokenizer()) {
  folder.Write("tokenizer.json", tokenizer.dump());
  nlohmann::json config = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  if (!chat_template.empty()) config["chat_template"] = chat_template;
  folder.Write("tokenizer_config.json", config.dump());
}

}  // namespace dropbp::data
