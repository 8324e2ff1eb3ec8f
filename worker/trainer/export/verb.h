// dropbp-trainer export: see worker/trainer/generate/verbs.h for the conventions of offline verbs.
#pragma once

namespace dropbp::trainer {

// export --checkpoint DIR --model DIR --out DIR [--best]: writes what a job would have left behind.
int RunExport(int argc, char** argv);

}  // namespace dropbp::trainer
