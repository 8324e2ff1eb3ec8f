#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"
#include "worker/data/json_fields.h"
#include "worker/data/tokenizer.h"
#include "worker/hf/json.h"
#include "worker/trainer/inspect/verbs.h"

namespace dropbp::trainer {
namespace {

using data::TokenId;
using Ids = std::vector<TokenId>;

struct TokenizeFlags {
  std::string folder;
  bool special = false;
  bool decode = false;
  bool json = false;  // texts are JSON strings
};

absl::StatusOr<std::string> ParseText(const std::string& line) {
  ASSIGN_OR_RETURN(const nlohmann::json text, hf::ParseJson(line));
  if (text.is_string()) return text.get<std::string>();
  return absl::InvalidArgumentError(
      absl::StrCat("found ", hf::DescribeJson(text), ", legal is a JSON string"));
}

absl::StatusOr<std::string> IdsOfLine(const data::Tokenizer& tokenizer, const TokenizeFlags& flags,
                                      const std::string& line) {
  std::string text = line;
  if (flags.json) {
    ASSIGN_OR_RETURN(text, ParseText(line));
  }
  ASSIGN_OR_RETURN(Ids ids, tokenizer.Encode(text));
  if (flags.special) {
    const data::AddedAround& around = tokenizer.Around();
    ids.insert(ids.begin(), around.begin.begin(), around.begin.end());
    ids.insert(ids.end(), around.end.begin(), around.end.end());
  }
  return absl::StrCat("[", absl::StrJoin(ids, ","), "]");
}

absl::StatusOr<Ids> ParseIds(const std::string& line, int64_t vocab_size) {
  ASSIGN_OR_RETURN(const nlohmann::json list, hf::ParseJson(line));
  if (!list.is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", hf::DescribeJson(list), ", legal is a list of ids"));
  }
  for (const nlohmann::json& id : list) {
    if (data::IsTokenId(id) && id.get<int64_t>() < vocab_size) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("found id ", hf::DescribeJson(id), ", legal are 0 to ", vocab_size - 1));
  }
  return list.get<Ids>();
}

// Takes off what --special puts around a text.
void RemoveAround(const data::AddedAround& around, Ids& ids) {
  if (ids.size() < around.begin.size() + around.end.size()) return;
  if (std::equal(around.begin.begin(), around.begin.end(), ids.begin()))
    ids.erase(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(around.begin.size()));
  if (std::equal(around.end.rbegin(), around.end.rend(), ids.rbegin()))
    ids.resize(ids.size() - around.end.size());
}

// A line for each line: who reads them together must not be led astray by a text that has several.
absl::StatusOr<std::string> TextOfLine(const data::Tokenizer& tokenizer, const TokenizeFlags& flags,
                                       const std::string& line) {
  ASSIGN_OR_RETURN(Ids ids, ParseIds(line, tokenizer.vocab_size()));
  if (flags.special) RemoveAround(tokenizer.Around(), ids);
  const std::string text = tokenizer.Decode(ids, /*skip_special=*/false);
  if (flags.json) return nlohmann::json(ToValidUtf8(text)).dump();
  if (text.find('\n') == std::string::npos) return text;
  return absl::InvalidArgumentError(absl::StrCat("the text ", hf::QuoteForError(text),
                                                 " has several lines; --json prints it as a JSON "
                                                 "string"));
}

absl::Status Tokenize(const TokenizeFlags& flags) {
  ASSIGN_OR_RETURN(const auto tokenizer, data::Tokenizer::Load(flags.folder));
  int64_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    const auto answer =
        flags.decode ? TextOfLine(*tokenizer, flags, line) : IdsOfLine(*tokenizer, flags, line);
    if (!answer.ok()) return Annotate(answer.status(), absl::StrCat("line ", number));
    std::cout << *answer << '\n';
  }
  std::cout.flush();
  return std::cout ? absl::OkStatus() : absl::UnavailableError("cannot write to stdout");
}

}  // namespace

int RunTokenize(int argc, char** argv) {
  CLI::App app("Print the ids of each line of stdin as one JSON array.", "dropbp-trainer tokenize");
  TokenizeFlags flags;
  app.add_option("--tokenizer", flags.folder, "Folder with tokenizer.json or tokenizer.model")
      ->required();
  app.add_flag("--special", flags.special,
               "With the tokens that the tokenizer adds before and after a text; with --decode, "
               "take them off");
  app.add_flag("--decode", flags.decode,
               "The other way: JSON arrays of ids to a line of text each");
  app.add_flag("--json", flags.json,
               "Texts are JSON strings, one a line, so that they may have line breaks");
  CLI11_PARSE(app, argc, argv);
  std::ios::sync_with_stdio(false);
  const absl::Status status = Tokenize(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "dropbp-trainer tokenize: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace dropbp::trainer
