#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "worker/hf/json.h"
#include "worker/hf/safetensors.h"
#include "worker/hf/safetensors_header.h"

namespace dropbp::hf {
namespace {

// The reference writer's order of types: by alignment descending, then its own order of names
// within one alignment.
constexpr TensorType kWriteOrder[] = {
    TensorType::kI64, TensorType::kF64, TensorType::kF32, TensorType::kI32, TensorType::kBF16,
    TensorType::kF16, TensorType::kI16, TensorType::kI8,  TensorType::kU8,  TensorType::kBool};

using NamedTensor = std::pair<const std::string, TensorView>;

absl::StatusOr<std::vector<const NamedTensor*>> InWriteOrder(
    const std::map<std::string, TensorView>& tensors) {
  std::vector<const NamedTensor*> ordered;
  for (TensorType type : kWriteOrder) {
    for (const NamedTensor& tensor : tensors) {
      if (tensor.second.type == type) ordered.push_back(&tensor);
    }
  }
  for (const auto& [name, view] : tensors) {
    if (TensorBytes(view.type, view.shape) != static_cast<int64_t>(view.data.size())) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", QuoteForError(name), " has ", view.data.size(),
                       " bytes, its shape and dtype need ", TensorBytes(view.type, view.shape)));
    }
    if (name.size() > kMaxNameBytes || name == "__metadata__" || view.shape.size() > kMaxRank) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", QuoteForError(name), ": illegal name or rank"));
    }
  }
  return ordered;
}

// Size field and JSON, padded with spaces so that the data begins at a multiple of 8.
std::string Header(const std::vector<const NamedTensor*>& tensors,
                   const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json["__metadata__"] = metadata;
  uint64_t offset = 0;
  std::string text = json.dump();
  text.pop_back();  // The tensors are appended as text: an ordered object would look up every key
                    // among all.
  for (const NamedTensor* tensor : tensors) {
    const auto& [name, view] = *tensor;
    nlohmann::ordered_json entry;
    entry["dtype"] = TensorTypeName(view.type);
    entry["shape"] = view.shape;
    entry["data_offsets"] = {offset, offset + view.data.size()};
    offset += view.data.size();
    absl::StrAppend(&text, text.size() > 1 ? "," : "", nlohmann::json(name).dump(), ":",
                    entry.dump());
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string size_field;
  for (int i = 0; i < 8; ++i) size_field += static_cast<char>(text.size() >> (8 * i) & 0xff);
  return size_field + text;
}

// A file under a temporary name; removed again unless it is committed.
class PendingFile {
 public:
  explicit PendingFile(std::string path) : path_(std::move(path)), temporary_(path_ + ".tmp") {
    fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  }
  ~PendingFile() {
    if (fd_ >= 0) close(fd_);
    if (!committed_) unlink(temporary_.c_str());
  }

  absl::Status Append(const void* bytes, size_t count) {
    if (fd_ < 0) return Error("cannot create");
    const char* next = static_cast<const char*>(bytes);
    while (count > 0) {
      const ssize_t written = write(fd_, next, count);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Error("cannot write");
      next += written;
      count -= static_cast<size_t>(written);
    }
    return absl::OkStatus();
  }

  // Makes the content durable, then visible under its name, then the name durable.
  absl::Status Commit() {
    if (fsync(fd_) != 0) return Error("cannot sync");
    if (rename(temporary_.c_str(), path_.c_str()) != 0) return Error("cannot rename");
    committed_ = true;
    const size_t slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    const int folder_fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = folder_fd >= 0 && fsync(folder_fd) == 0;
    if (folder_fd >= 0) close(folder_fd);
    return synced ? absl::OkStatus() : Error("cannot sync the folder of");
  }

 private:
  absl::Status Error(const char* what) const {
    return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", temporary_));
  }

  const std::string path_;
  const std::string temporary_;
  int fd_ = -1;
  bool committed_ = false;
};

}  // namespace

absl::Status WriteSafetensors(const std::string& path,
                              const std::map<std::string, TensorView>& tensors,
                              const std::map<std::string, std::string>& metadata) {
  auto ordered = InWriteOrder(tensors);
  if (!ordered.ok()) return Annotate(ordered.status(), path);
  PendingFile file(path);
  const std::string header = Header(*ordered, metadata);
  RETURN_IF_ERROR(file.Append(header.data(), header.size()));
  for (const NamedTensor* tensor : *ordered) {
    RETURN_IF_ERROR(file.Append(tensor->second.data.data(), tensor->second.data.size()));
  }
  return file.Commit();
}

}  // namespace dropbp::hf
