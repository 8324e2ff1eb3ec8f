// The trainer's offline verbs, for one machine and without a coordinator. argv[0] is the verb's
// name. Each prints its result on stdout and returns the exit code: 0 done, 1 failed (the reason is
// on stderr), or what CLI11 gives for a command line that is wrong.
#pragma once

namespace dropbp::trainer {

// generate --model DIR --prompt TEXT ...: answers one prompt greedily.
int RunGenerate(int argc, char** argv);

// evaluate --model DIR --data FILE ...: answers every record of a file and compares.
int RunEvaluate(int argc, char** argv);

}  // namespace dropbp::trainer
