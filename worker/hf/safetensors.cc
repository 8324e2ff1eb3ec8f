#include "worker/hf/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/hf/safetensors_header.h"

namespace dropbp::hf {
namespace {

constexpr size_t kSizeFieldBytes = 8;

struct Mapping {
  void* address = nullptr;
  size_t bytes = 0;
};

absl::Status SystemError(const std::string& path, const char* what) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", what));
}

// Maps a whole regular file for reading.
absl::StatusOr<Mapping> MapFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return SystemError(path, "cannot open");
  struct stat info;
  absl::Status status;
  Mapping mapping;
  if (fstat(fd, &info) != 0) {
    status = SystemError(path, "cannot stat");
  } else if (!S_ISREG(info.st_mode)) {
    status = absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  } else if (static_cast<size_t>(info.st_size) < kSizeFieldBytes) {
    status = absl::InvalidArgumentError(
        absl::StrCat(path, ": ", info.st_size, " bytes are too few for a safetensors file"));
  } else {
    mapping.bytes = static_cast<size_t>(info.st_size);
    mapping.address = mmap(nullptr, mapping.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping.address == MAP_FAILED) status = SystemError(path, "cannot map");
  }
  close(fd);
  if (!status.ok()) return status;
  return mapping;
}

uint64_t LittleEndian64(const uint8_t* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::Open(
    const std::string& path) {
  ASSIGN_OR_RETURN(const Mapping mapping, MapFile(path));
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile);
  file->path_ = path;
  file->mapping_ = mapping.address;
  file->mapped_bytes_ = mapping.bytes;

  const auto* bytes = static_cast<const uint8_t*>(mapping.address);
  const uint64_t header_bytes = LittleEndian64(bytes);
  const uint64_t rest = mapping.bytes - kSizeFieldBytes;
  if (header_bytes > kMaxHeaderBytes || header_bytes > rest) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": header of ", header_bytes, " bytes, legal is at most ",
                     kMaxHeaderBytes, " and at most the ", rest, " bytes that follow"));
  }
  const std::string_view json(reinterpret_cast<const char*>(bytes) + kSizeFieldBytes, header_bytes);
  absl::StatusOr<SafetensorsHeader> header = ParseSafetensorsHeader(json, rest - header_bytes);
  if (!header.ok()) return Annotate(header.status(), path);

  const uint8_t* data = bytes + kSizeFieldBytes + header_bytes;
  for (TensorEntry& tensor : header->tensors) {
    file->tensors_[std::move(tensor.name)] =
        TensorView{tensor.type, std::move(tensor.shape),
                   absl::MakeConstSpan(data + tensor.begin, tensor.end - tensor.begin)};
  }
  file->metadata_ = std::move(header->metadata);
  return file;
}

SafetensorsFile::~SafetensorsFile() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_bytes_);
}

}  // namespace dropbp::hf
