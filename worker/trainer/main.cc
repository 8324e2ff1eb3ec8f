// dropbp-trainer: trains one rank of a job for its agent; generates, evaluates, merges and
// exports for a person.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "worker/trainer/export/verb.h"
#include "worker/trainer/generate/verbs.h"
#include "worker/trainer/inspect/verbs.h"
#include "worker/trainer/merge/verb.h"
#include "worker/trainer/run_verb.h"

namespace {

constexpr char kUsage[] =
    "usage: dropbp-trainer VERB [options]\n"
    "  generate   answer one prompt\n"
    "  evaluate   answer every record of a data file and compare\n"
    "  tokenize   print the token ids of lines, or the text of ids\n"
    "  preview    show what the loss sees of a job's data\n"
    "  merge      write a model with an adapter added to it\n"
    "  export     make an adapter or model folder of a checkpoint\n"
    "  run        train one rank of a job; started by dropbp-worker\n"
    "dropbp-trainer VERB --help tells the options of a verb.\n";

// LibTorch's OpenMP threads spin while they wait, which is ruinous where ranks share cores: eight
// answers took 171 s instead of 13 s on two busy cores. The runtime reads the policy when it is
// loaded, so it is set before this program starts a second time.
void WaitWithoutSpinning(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  execv("/proc/self/exe", argv);  // returns only where it is impossible; then threads spin
}

}  // namespace

int main(int argc, char** argv) {
  WaitWithoutSpinning(argv);
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "run") return dropbp::trainer::RunTrain(argc - 1, argv + 1);
  if (verb == "generate") return dropbp::trainer::RunGenerate(argc - 1, argv + 1);
  if (verb == "evaluate") return dropbp::trainer::RunEvaluate(argc - 1, argv + 1);
  if (verb == "tokenize") return dropbp::trainer::RunTokenize(argc - 1, argv + 1);
  if (verb == "preview") return dropbp::trainer::RunPreview(argc - 1, argv + 1);
  if (verb == "merge") return dropbp::trainer::RunMerge(argc - 1, argv + 1);
  if (verb == "export") return dropbp::trainer::RunExport(argc - 1, argv + 1);
  if (verb == "--version") return std::puts("dropbp-trainer " DROPBP_VERSION) < 0;
  if (verb == "--help" || verb == "-h") return std::fputs(kUsage, stdout) < 0;
  std::fprintf(stderr, "dropbp-trainer: no verb \"%s\".\n%s", argc > 1 ? argv[1] : "", kUsage);
  return 2;
}
