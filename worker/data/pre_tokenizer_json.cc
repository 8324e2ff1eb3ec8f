// "pre_tokenizer" of tokenizer.json.
#include "absl/strings/str_cat.h"
#include "worker/data/components_json.h"
#include "worker/data/json_fields.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

using hf::DescribeJson;
using nlohmann::json;

// "Removed" with "invert" keeps the matches only, which is Isolated where matches cover the text.
absl::StatusOr<Between> BehaviorOfRegex(const json& component) {
  const json* behavior = FindField(component, "behavior");
  ASSIGN_OR_RETURN(const bool invert, BoolField(component, "pre_tokenizer Split", "invert", false));
  if (behavior != nullptr && *behavior == "Isolated") return Between::kKept;
  if (behavior != nullptr && *behavior == "Removed" && invert) return Between::kRefused;
  return absl::InvalidArgumentError(
      absl::StrCat("pre_tokenizer Split by a regex: behavior is ",
                   behavior == nullptr ? "missing" : DescribeJson(*behavior),
                   "; supported: \"Isolated\", and \"Removed\" with invert"));
}

absl::StatusOr<Delimiter> BehaviorOfText(const json& component) {
  RETURN_IF_ERROR(RequireValue(component, "pre_tokenizer Split", "invert", false));
  const json* behavior = FindField(component, "behavior");
  const std::string name =
      behavior != nullptr && behavior->is_string() ? behavior->get<std::string>() : "";
  if (name == "Isolated") return Delimiter::kIsolated;
  if (name == "MergedWithPrevious") return Delimiter::kMergedWithPrevious;
  if (name == "MergedWithNext") return Delimiter::kMergedWithNext;
  return absl::InvalidArgumentError(
      absl::StrCat("pre_tokenizer Split by a text: behavior is ",
                   behavior == nullptr ? "missing" : DescribeJson(*behavior),
                   "; supported: \"Isolated\", \"MergedWithPrevious\" and \"MergedWithNext\""));
}

absl::Status AddSplit(const json& component, PreTokenizer& pre) {
  const json* pattern = FindField(component, "pattern");
  const json* regex = pattern == nullptr ? nullptr : FindField(*pattern, "Regex");
  const json* text = pattern == nullptr ? nullptr : FindField(*pattern, "String");
  if (regex != nullptr && regex->is_string()) {
    ASSIGN_OR_RETURN(const Between between, BehaviorOfRegex(component));
    auto splitter = PatternSplitter(regex->get_ref<const std::string&>(), between);
    if (!splitter.ok()) return Annotate(splitter.status(), "pre_tokenizer Split");
    pre.splitters.push_back(*std::move(splitter));
    return absl::OkStatus();
  }
  if (text != nullptr && text->is_string() && !text->get_ref<const std::string&>().empty()) {
    ASSIGN_OR_RETURN(const Delimiter delimiter, BehaviorOfText(component));
    pre.splitters.push_back(TextSplitter(text->get<std::string>(), delimiter));
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "pre_tokenizer Split: supported is a pattern of the kind {\"Regex\": text} or {\"String\": "
      "text}");
}

absl::Status AddDigits(const json& component, PreTokenizer& pre) {
  ASSIGN_OR_RETURN(const bool individual,
                   BoolField(component, "pre_tokenizer Digits", "individual_digits", false));
  pre.splitters.push_back(DigitsSplitter(individual));
  return absl::OkStatus();
}

absl::Status AddByteLevel(const json& component, PreTokenizer& pre) {
  RETURN_IF_ERROR(RequireValue(component, "pre_tokenizer ByteLevel", "add_prefix_space", false));
  ASSIGN_OR_RETURN(const bool use_regex,
                   BoolField(component, "pre_tokenizer ByteLevel", "use_regex", true));
  pre.byte_level = true;
  if (!use_regex) return absl::OkStatus();
  ASSIGN_OR_RETURN(auto splitter, PatternSplitter(kGpt2Pattern));
  pre.splitters.push_back(std::move(splitter));
  return absl::OkStatus();
}

absl::StatusOr<Metaspace::Prepend> ReadPrepend(const json& component) {
  // Files of early versions say add_prefix_space instead.
  ASSIGN_OR_RETURN(const bool prefix_space,
                   BoolField(component, "pre_tokenizer Metaspace", "add_prefix_space", true));
  const json* scheme = FindField(component, "prepend_scheme");
  if (scheme == nullptr)
    return prefix_space ? Metaspace::Prepend::kAlways : Metaspace::Prepend::kNever;
  if (*scheme == "always") return Metaspace::Prepend::kAlways;
  if (*scheme == "first") return Metaspace::Prepend::kFirst;
  if (*scheme == "never") return Metaspace::Prepend::kNever;
  return absl::InvalidArgumentError(absl::StrCat("pre_tokenizer Metaspace: prepend_scheme is ",
                                                 DescribeJson(*scheme),
                                                 "; legal: \"always\", \"first\", \"never\""));
}

absl::Status SetMetaspace(const json& component, PreTokenizer& pre) {
  Metaspace metaspace;
  ASSIGN_OR_RETURN(metaspace.replacement,
                   TextField(component, "pre_tokenizer Metaspace", "replacement"));
  ASSIGN_OR_RETURN(metaspace.prepend, ReadPrepend(component));
  ASSIGN_OR_RETURN(const bool split,
                   BoolField(component, "pre_tokenizer Metaspace", "split", true));
  if (split)
    pre.splitters.push_back(TextSplitter(metaspace.replacement, Delimiter::kMergedWithNext));
  pre.metaspace = std::move(metaspace);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PreTokenizer> ReadPreTokenizer(const json& root) {
  ASSIGN_OR_RETURN(const auto components, Components(root, "pre_tokenizer", "pretokenizers"));
  PreTokenizer pre;
  for (size_t i = 0; i < components.size(); ++i) {
    const json& component = *components[i];
    const std::string type = TypeOf(component);
    const bool last = i + 1 == components.size();
    if (type == "ByteLevel" && last) {
      RETURN_IF_ERROR(AddByteLevel(component, pre));
    } else if (type == "Metaspace" && components.size() == 1) {
      RETURN_IF_ERROR(SetMetaspace(component, pre));
    } else if (type == "Split") {
      RETURN_IF_ERROR(AddSplit(component, pre));
    } else if (type == "Digits") {
      RETURN_IF_ERROR(AddDigits(component, pre));
    } else {
      return Unsupported("pre_tokenizer", component,
                         "none, Metaspace by itself, and Digits and Split, followed by ByteLevel "
                         "in a byte-level model");
    }
  }
  return pre;
}

}  // namespace dropbp::data
