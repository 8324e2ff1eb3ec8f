// dropbp-trainer merge: see worker/trainer/generate/verbs.h for the conventions of offline verbs.
#pragma once

namespace dropbp::trainer {

// merge --model DIR --adapter DIR --out DIR ...: writes base and adapter as one model folder.
int RunMerge(int argc, char** argv);

}  // namespace dropbp::trainer
