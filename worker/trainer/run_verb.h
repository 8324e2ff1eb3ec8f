// The verb that an agent starts.
#pragma once

namespace dropbp::trainer {

// run --socket PATH: trains for the agent that listens on a Unix socket; the token comes in
// DROPBP_TRAINER_TOKEN. The job's life is in train/run_job.h. Returns the exit code: 0 finished or
// stopped on request, 1 failed (reported and told on stderr), or what CLI11 gives for a wrong
// command line; 3, from inside the link, says that the agent went away.
int RunTrain(int argc, char** argv);

}  // namespace dropbp::trainer
