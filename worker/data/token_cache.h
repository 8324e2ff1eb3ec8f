// Tokenised data sets beside the files that they were made of, so that a data set is read, rendered
// and tokenised once: while its job is prepared, and not again by every rank of every attempt.
#pragma once

#include <optional>
#include <string>

#include "core/base/status.h"
#include "worker/data/dataset.h"

namespace dropbp::data {

// Note [Token cache]
// Only files that are named by their content, as the agent keeps them, have a cache: <path>.<key>.
// The key is a hash of all that the samples follow from: the file's own name, the settings of the
// data, and the model's files for tokens and templates. A template that prints today's date
// (strftime_now) printed it when the data was first tokenised.
// The file ends in a SHA-256 of what stands before; one that does not match is made again.
class TokenCache {
 public:
  // Whether `path` is named by spec.artifact.
  static bool Covers(const std::string& path, const DatasetSpec& spec);

  // For a data file that is covered.
  static absl::StatusOr<TokenCache> For(const std::string& path, const DatasetSpec& spec,
                                        const std::string& model_dir);

  // The samples and the report; nothing if they are not there, or not whole.
  std::optional<TokenizedDataset> Read() const;
  absl::Status Write(const TokenizedDataset& dataset) const;

 private:
  explicit TokenCache(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace dropbp::data
