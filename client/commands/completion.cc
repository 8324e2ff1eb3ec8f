// What a shell offers at the tab key, made from the command line itself.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"

namespace dropbp::client {
namespace {

// %COMMANDS%: names, %GLOBAL%: options before the command, %CASES%: a case for each command.
constexpr char kBash[] =
    R"bash(# Completion of dropbp for bash; for zsh after `autoload -U bashcompinit && bashcompinit`.
_dropbp() {
  local current=${COMP_WORDS[COMP_CWORD]} command= word words= jobs=
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " %COMMANDS% " in *" $word "*) command=$word; break ;; esac
  done
  case $command in
    '') words="%COMMANDS% %GLOBAL%" ;;
%CASES%  esac
  # Names of jobs, where one belongs; nothing if no coordinator answers at once.
  if [[ -n $jobs && $current != -* ]]; then
    words+=" $(dropbp --retry-seconds 0 list --limit 100 2>/dev/null | awk 'NR > 1 {print $1}')"
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _dropbp dropbp
)bash";

struct CompletionOptions {
  const CLI::App* root = nullptr;
  std::string shell;
};

std::string LongOptions(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return absl::StrJoin(names, " ");
}

bool TakesJob(const CLI::App& command) {
  const std::vector<const CLI::Option*> options = command.get_options();
  return std::any_of(options.begin(), options.end(), [](const CLI::Option* option) {
    return option->get_positional() && option->get_name(/*positional=*/true) == "JOB";
  });
}

absl::StatusOr<ExitCode> Completion(Session& session, const CompletionOptions& options) {
  std::vector<std::string> names;
  std::string cases;
  for (const CLI::App* command : options.root->get_subcommands({})) {
    names.push_back(command->get_name());
    absl::StrAppend(&cases, "    ", command->get_name(), ") words=\"", LongOptions(*command), "\"",
                    TakesJob(*command) ? " jobs=yes" : "", " ;;\n");
  }
  session.out().stream << absl::StrReplaceAll(kBash, {{"%COMMANDS%", absl::StrJoin(names, " ")},
                                                      {"%GLOBAL%", LongOptions(*options.root)},
                                                      {"%CASES%", cases}});
  return ExitCode::kOk;
}

}  // namespace

void AddCompletion(CLI::App& app, Session& session) {
  std::shared_ptr<CompletionOptions> options;
  CLI::App* command = AddCommand<CompletionOptions>(
      app, session, "completion", "Print what makes a shell complete commands, options and jobs",
      "  dropbp completion bash > ~/.local/share/bash-completion/completions/dropbp\n"
      "  source <(dropbp completion bash)\n",
      Completion, options);
  options->root = &app;
  command->add_option("SHELL", options->shell, "bash; zsh reads the same with bashcompinit")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
}

}  // namespace dropbp::client
