// From a data file to token ids with a loss mask.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "worker/data/chat_template.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {

// One training sample. supervised[i] says whether the prediction OF token i carries loss (never for
// i = 0).
struct Sample {
  std::vector<TokenId> ids;
  std::vector<bool> supervised;
  int64_t line = 0;  // line of the data file, or row of a Parquet file, from 1

  int64_t SupervisedTokens() const;
};

struct DatasetReport {
  int64_t samples = 0;
  int64_t tokens = 0;
  int64_t supervised_tokens = 0;
  int64_t truncated = 0;   // cut to max_length
  int64_t dropped = 0;     // left out: too long, or no supervised token (left after cutting)
  int64_t duplicates = 0;  // left out: an earlier sample has the same tokens and the same loss
  int64_t longest = 0;     // tokens of the longest record, before cutting
  int64_t rows = 0;        // that samples were packed into; 0 without packing
  std::string format;
  // Held out, see LoadJobData.
  int64_t validation_samples = 0;
  int64_t validation_supervised_tokens = 0;
};

// Counts a sample and its tokens.
void CountSample(const Sample& sample, DatasetReport& report);

// Samples by index that share a row of a batch.
using Row = std::vector<int64_t>;

struct TokenizedDataset {
  std::vector<Sample> samples;
  std::vector<Row> rows;  // what batches draw, see MakeRows
  DatasetReport report;
};

// Reads, renders, tokenises and masks a whole file. Deterministic. Every bad line is reported (at
// most 20, then a count) as "<path>:<line>: ...", with Parquet "<path>: row <row>: ..."; a file
// with no supervised token at all is INVALID_ARGUMENT that shows the first line's rendering.
// Prompt/completion and Alpaca records are rendered through the model's chat template as one user
// turn and one assistant turn where the model has a template, else as prompt + completion + eos,
// with a system message in front of either;
// texts as text + eos. A file that is named by spec.artifact is tokenised once, see Note [Token
// cache].
absl::StatusOr<TokenizedDataset> LoadDataset(const std::string& path, const DatasetSpec& spec,
                                             const std::string& model_dir);

// A record for evaluation: what the model is given and what it should answer.
struct PromptAndAnswer {
  std::string prompt;  // rendered text, generation prompt included
  std::string answer;  // content of the last answer, see Record::IsAnswer
};
absl::StatusOr<std::vector<PromptAndAnswer>> LoadPrompts(const std::string& path,
                                                         const DatasetSpec& spec,
                                                         const std::string& model_dir);

}  // namespace dropbp::data
