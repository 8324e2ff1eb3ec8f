#include <c10/util/Exception.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "worker/data/prompt.h"
#include "worker/trainer/generate/greedy.h"
#include "worker/trainer/generate/model_flags.h"
#include "worker/trainer/generate/verbs.h"

namespace dropbp::trainer {
namespace {

struct GenerateFlags {
  ModelFlags model;
  std::string prompt;
  bool chat = false;
  bool raw = false;
  int64_t max_tokens = 128;
  std::string output = "text";
};

absl::Status Generate(const GenerateFlags& flags) {
  std::string text = flags.prompt;
  if (!flags.raw) {
    ASSIGN_OR_RETURN(text, data::RenderPrompt(flags.model.model_dir, text, flags.chat));
  }
  ASSIGN_OR_RETURN(const LoadedModel loaded, LoadModel(flags.model));
  ASSIGN_OR_RETURN(const std::vector<data::TokenId> prompt,
                   data::EncodePrompt(*loaded.tokenizer, text));
  const auto answer = GenerateGreedily(*loaded.decoder, {prompt}, flags.max_tokens).front();
  const std::string answer_text = loaded.tokenizer->Decode(answer, /*skip_special=*/true);
  if (flags.output == "json") {
    const nlohmann::json result = {
        {"prompt", text}, {"prompt_ids", prompt}, {"answer", answer_text}, {"answer_ids", answer}};
    std::printf("%s\n", result.dump().c_str());
  } else {
    std::printf("%s\n", answer_text.c_str());
  }
  return absl::OkStatus();
}

}  // namespace

int RunGenerate(int argc, char** argv) {
  CLI::App app("Answer a prompt with the most likely tokens.", "dropbp-trainer generate");
  GenerateFlags flags;
  AddModelFlags(app, flags.model);
  app.add_option("--prompt", flags.prompt, "What to answer")->required();
  auto* chat = app.add_flag("--chat", flags.chat,
                            "Render the prompt by the chat template (default where there is one)");
  app.add_flag("--raw", flags.raw, "Continue the prompt as it is")->excludes(chat);
  app.add_option("--max-tokens", flags.max_tokens, "Longest answer")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--output", flags.output, "text, or json with token ids")
      ->check(CLI::IsMember({"text", "json"}));
  CLI11_PARSE(app, argc, argv);
  absl::Status status;
  try {
    status = Generate(flags);
  } catch (const c10::Error& error) {
    status = absl::InternalError(error.what_without_backtrace());
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "dropbp-trainer generate: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace dropbp::trainer
