#include "worker/data/components_json.h"

#include "absl/strings/str_cat.h"
#include "worker/data/json_fields.h"
#include "worker/data/utf8.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

using hf::DescribeJson;
using nlohmann::json;

constexpr size_t kMaxComponents = 16;
constexpr size_t kMaxTextBytes = 64;
constexpr int kMaxDecoderReplaces = 2;

bool IsShortText(const json* value) {
  if (value == nullptr || !value->is_string()) return false;
  const size_t size = value->get_ref<const std::string&>().size();
  return size > 0 && size <= kMaxTextBytes;
}

absl::StatusOr<size_t> CountField(const json& component, const std::string& where,
                                  const char* name) {
  const json* value = FindField(component, name);
  if (value != nullptr && IsTokenId(*value)) return value->get<size_t>();
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": ", name, " is ", value == nullptr ? "missing" : DescribeJson(*value),
                   ", legal is a whole number"));
}

absl::StatusOr<TokenDecoder::Strip> ReadStrip(const json& component) {
  TokenDecoder::Strip strip;
  ASSIGN_OR_RETURN(strip.content, TextField(component, "decoder Strip", "content"));
  if (CharacterBytes(static_cast<unsigned char>(strip.content[0])) != strip.content.size())
    return absl::InvalidArgumentError("decoder Strip: content is not one character");
  ASSIGN_OR_RETURN(strip.start, CountField(component, "decoder Strip", "start"));
  ASSIGN_OR_RETURN(strip.stop, CountField(component, "decoder Strip", "stop"));
  return strip;
}

absl::StatusOr<TokenDecoder::Replace> ReadReplace(const json& component) {
  TokenDecoder::Replace replace;
  ASSIGN_OR_RETURN(replace.pattern, TextPattern(component, "decoder Replace"));
  const json* content = FindField(component, "content");
  if (!IsShortText(content) && (content == nullptr || *content != "")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "decoder Replace: needs content, a text of at most ", kMaxTextBytes, " bytes"));
  }
  replace.content = content->get<std::string>();
  return replace;
}

absl::StatusOr<TokenDecoder::Metaspace> ReadMetaspaceDecoder(const json& component) {
  TokenDecoder::Metaspace metaspace;
  ASSIGN_OR_RETURN(metaspace.replacement, TextField(component, "decoder Metaspace", "replacement"));
  ASSIGN_OR_RETURN(const bool prefix_space,
                   BoolField(component, "decoder Metaspace", "add_prefix_space", true));
  const json* scheme = FindField(component, "prepend_scheme");
  metaspace.prepended = scheme == nullptr ? prefix_space : *scheme != "never";
  return metaspace;
}

absl::Status AddDecoderStep(const json& component, TokenDecoder& decoder) {
  const std::string type = TypeOf(component);
  if (type == "ByteLevel") {
    decoder.Add(TokenDecoder::ByteLevel{});
  } else if (type == "ByteFallback") {
    decoder.Add(TokenDecoder::ByteFallback{});
  } else if (type == "Fuse") {
    decoder.Add(TokenDecoder::Fuse{});
  } else if (type == "Strip") {
    ASSIGN_OR_RETURN(TokenDecoder::Strip strip, ReadStrip(component));
    decoder.Add(std::move(strip));
  } else if (type == "Replace") {
    ASSIGN_OR_RETURN(TokenDecoder::Replace replace, ReadReplace(component));
    decoder.Add(std::move(replace));
  } else if (type == "Metaspace") {
    ASSIGN_OR_RETURN(TokenDecoder::Metaspace metaspace, ReadMetaspaceDecoder(component));
    decoder.Add(std::move(metaspace));
  } else {
    return Unsupported("decoder", component,
                       "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace and Sequence");
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenId> TemplateToken(const json& component, const json& piece) {
  const json* token = FindField(piece, "SpecialToken");
  const json* name = token == nullptr ? nullptr : FindField(*token, "id");
  const json* table = FindField(component, "special_tokens");
  const json* entry = table == nullptr || name == nullptr || !name->is_string()
                          ? nullptr
                          : FindField(*table, name->get_ref<const std::string&>().c_str());
  const json* ids = entry == nullptr ? nullptr : FindField(*entry, "ids");
  if (ids != nullptr && ids->is_array() && ids->size() == 1 && IsTokenId((*ids)[0]))
    return (*ids)[0].get<TokenId>();
  return absl::InvalidArgumentError(
      "post_processor TemplateProcessing: supported are special tokens with one id each, around "
      "one text");
}

// TemplateProcessing: which tokens its "single" template puts around the text.
absl::StatusOr<AddedAround> ReadTemplate(const json& component) {
  const json* single = FindField(component, "single");
  if (single == nullptr || !single->is_array()) {
    return absl::InvalidArgumentError("post_processor TemplateProcessing: needs the list single");
  }
  AddedAround around;
  bool behind_text = false;
  for (const json& piece : *single) {
    if (!behind_text && FindField(piece, "Sequence") != nullptr) {
      behind_text = true;
    } else {
      ASSIGN_OR_RETURN(const TokenId id, TemplateToken(component, piece));
      (behind_text ? around.end : around.begin).push_back(id);
    }
  }
  return around;
}

absl::Status AddNormalizer(const json& component, Normalizer& normalizer) {
  const std::string type = TypeOf(component);
  if (type == "NFC") {
    normalizer.Add(Normalizer::Nfc{});
  } else if (type == "Prepend") {
    ASSIGN_OR_RETURN(std::string prefix, TextField(component, "normalizer Prepend", "prepend"));
    normalizer.Add(Normalizer::Prepend{std::move(prefix)});
  } else if (type == "Replace") {
    ASSIGN_OR_RETURN(std::string pattern, TextPattern(component, "normalizer Replace"));
    ASSIGN_OR_RETURN(std::string content, TextField(component, "normalizer Replace", "content"));
    normalizer.Add(Normalizer::Replace{std::move(pattern), std::move(content)});
  } else {
    return Unsupported("normalizer", component, "none, NFC, Prepend, Replace and Sequence");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<const json*>> Components(const json& root, const char* field,
                                                    const char* list_name) {
  const json* component = FindField(root, field);
  if (component == nullptr) return std::vector<const json*>{};
  if (TypeOf(*component) != "Sequence") return std::vector<const json*>{component};
  const json* list = FindField(*component, list_name);
  if (list == nullptr || !list->is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": a Sequence needs the list ", list_name));
  }
  if (list->size() > kMaxComponents) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ": found ", list->size(), " components, legal are at most ", kMaxComponents));
  }
  std::vector<const json*> components;
  for (const json& element : *list) components.push_back(&element);
  return components;
}

absl::StatusOr<std::string> TextField(const json& component, const std::string& where,
                                      const char* name) {
  const json* value = FindField(component, name);
  if (IsShortText(value)) return value->get<std::string>();
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": ", name, " is ", value == nullptr ? "missing" : DescribeJson(*value),
                   ", legal is a text of 1 to ", kMaxTextBytes, " bytes"));
}

absl::StatusOr<std::string> TextPattern(const json& component, const std::string& where) {
  const json* pattern = FindField(component, "pattern");
  const json* text = pattern == nullptr ? nullptr : FindField(*pattern, "String");
  if (IsShortText(text)) return text->get<std::string>();
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": supported is a pattern of the kind {\"String\": text}, 1 to ",
                   kMaxTextBytes, " bytes"));
}

absl::StatusOr<Normalizer> ReadNormalizer(const json& root) {
  ASSIGN_OR_RETURN(const auto components, Components(root, "normalizer", "normalizers"));
  Normalizer normalizer;
  for (const json* component : components) RETURN_IF_ERROR(AddNormalizer(*component, normalizer));
  return normalizer;
}

absl::StatusOr<AddedAround> ReadPostProcessor(const json& root) {
  ASSIGN_OR_RETURN(const auto components, Components(root, "post_processor", "processors"));
  AddedAround around;
  bool has_template = false;
  for (const json* component : components) {
    const std::string type = TypeOf(*component);
    if (type == "TemplateProcessing" && !has_template) {
      ASSIGN_OR_RETURN(around, ReadTemplate(*component));
      has_template = true;
    } else if (type != "ByteLevel") {  // ByteLevel only moves offsets.
      return Unsupported("post_processor", *component,
                         "none, ByteLevel and one TemplateProcessing");
    }
  }
  return around;
}

absl::StatusOr<TokenDecoder> ReadDecoder(const json& root) {
  ASSIGN_OR_RETURN(const auto components, Components(root, "decoder", "decoders"));
  if (components.empty()) {
    return absl::InvalidArgumentError(
        "decoder is missing or empty; supported: ByteLevel, Replace, ByteFallback, Fuse, Strip, "
        "Metaspace and Sequence");
  }
  TokenDecoder decoder;
  int replaces = 0;
  for (const json* component : components) {
    replaces += TypeOf(*component) == "Replace";
    RETURN_IF_ERROR(AddDecoderStep(*component, decoder));
  }
  if (replaces > kMaxDecoderReplaces) {
    return absl::InvalidArgumentError(absl::StrCat(
        "decoder: found ", replaces, " times Replace, legal are at most ", kMaxDecoderReplaces));
  }
  return decoder;
}

}  // namespace dropbp::data
