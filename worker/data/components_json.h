// The components of tokenizer.json around the model: every one becomes a part here or is an error
// that names it.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/status.h"
#include "worker/data/normalizer.h"
#include "worker/data/pre_tokenizer.h"
#include "worker/data/token_decoder.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {

// The components of a field that may be missing, one component, or a Sequence of them under
// `list_name`, in their order.
absl::StatusOr<std::vector<const nlohmann::json*>> Components(const nlohmann::json& root,
                                                              const char* field,
                                                              const char* list_name);

// A field of a component that is text and not empty.
absl::StatusOr<std::string> TextField(const nlohmann::json& component, const std::string& where,
                                      const char* name);

// What a component looks for, where it is a plain text: {"String": text}.
absl::StatusOr<std::string> TextPattern(const nlohmann::json& component, const std::string& where);

// normalizer: NFC, Prepend, Replace.
absl::StatusOr<Normalizer> ReadNormalizer(const nlohmann::json& root);

// pre_tokenizer: Metaspace by itself, or Split and Digits followed by ByteLevel, or none.
absl::StatusOr<PreTokenizer> ReadPreTokenizer(const nlohmann::json& root);

// post_processor: ByteLevel and one TemplateProcessing.
absl::StatusOr<AddedAround> ReadPostProcessor(const nlohmann::json& root);

// decoder: ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace.
absl::StatusOr<TokenDecoder> ReadDecoder(const nlohmann::json& root);

}  // namespace dropbp::data
