#include "worker/trainer/checkpoint/checkpoint_writer.h"

#include <exception>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"

namespace dropbp::trainer {
namespace {

absl::Status WriteInto(const std::string& folder, const std::string& file,
                       const CheckpointPartData& part) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return absl::InternalError(absl::StrCat(folder, ": ", error.message()));
  return WritePart(absl::StrCat(folder, "/", file), part);
}

}  // namespace

void CheckpointWriter::Start(CheckpointPartData part) {
  Wait();
  thread_ = std::thread([this, part = std::move(part)] { Write(part); });
}

void CheckpointWriter::Wait() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::Write(const CheckpointPartData& part) const {
  CheckpointReport report{.step = part.state.next_step,
                          .file = absl::StrCat("step-", part.state.next_step, ".safetensors"),
                          .error = {},
                          .totals = part.state.totals};
  absl::Status status;
  try {
    status = WriteInto(link_->assignment().output_dir + "/checkpoints", report.file, part);
  } catch (const std::exception& error) {
    status = absl::InternalError(error.what());
  }
  if (!status.ok()) {
    report.file.clear();
    report.error = std::string(status.message());
  }
  link_->ReportCheckpoint(report);
}

}  // namespace dropbp::trainer
