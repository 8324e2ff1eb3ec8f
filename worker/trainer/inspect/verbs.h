// The trainer's verbs that look at data and load no model: like those of generate/verbs.h, each
// takes its name as argv[0] and returns the exit code.
#pragma once

namespace dropbp::trainer {

// tokenize --tokenizer DIR: lines on stdin to ids, or back.
int RunTokenize(int argc, char** argv);

// preview -f JOB: what the loss sees of a job's data.
int RunPreview(int argc, char** argv);

}  // namespace dropbp::trainer
