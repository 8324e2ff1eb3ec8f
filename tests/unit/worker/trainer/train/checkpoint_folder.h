// A temporary folder with what ranks under test save.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/checkpoint/job_identity.h"
#include "core/checkpoint/manifest.h"

namespace dropbp::trainer {

class CheckpointFolder {
 public:
  CheckpointFolder() : path_(::testing::TempDir() + "checkpoints_XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~CheckpointFolder() { std::filesystem::remove_all(path_); }
  CheckpointFolder(const CheckpointFolder&) = delete;
  CheckpointFolder& operator=(const CheckpointFolder&) = delete;

  // The output folder of a rank.
  std::string RankFolder(int rank) const { return absl::StrCat(path_, "/rank-", rank); }

  // Puts the ranks' parts of one step together, as agents and coordinator do.
  std::string Complete(const JobSpec& spec, int world_size, int64_t step) const {
    namespace fs = std::filesystem;
    const std::string folder = absl::StrCat(path_, "/checkpoint-", step);
    fs::create_directories(folder);
    CheckpointManifest manifest{.identity = JobIdentity(spec), .step = step, .parts = {}};
    for (int rank = 0; rank < world_size; ++rank) {
      const std::string from =
          absl::StrCat(RankFolder(rank), "/checkpoints/step-", step, ".safetensors");
      const std::string name = PartFileName(rank, world_size);
      fs::copy_file(from, folder + "/" + name, fs::copy_options::overwrite_existing);
      manifest.parts.push_back({.file = name,
                                .size_bytes = static_cast<int64_t>(fs::file_size(from)),
                                .sha256 = *Sha256HexOfFile(from)});
    }
    EXPECT_TRUE(WriteManifest(folder, manifest).ok());
    return folder;
  }

 private:
  std::string path_;
};

}  // namespace dropbp::trainer
