#include "core/checkpoint/manifest.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/files.h"

namespace dropbp {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFormat[] = "dropbp-checkpoint";
// Between the content and the hash of the content.
constexpr std::string_view kHashKey = "  \"sha256\": \"";
constexpr std::string_view kEnd = "\"\n}\n";
constexpr size_t kHashDigits = 64;
constexpr size_t kTailBytes = kHashKey.size() + kHashDigits + kEnd.size();

absl::Status Illegal(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("checkpoint manifest: ", what));
}

// What stands before the hash: an object without its last field.
std::string Body(const CheckpointManifest& manifest) {
  std::string text =
      absl::StrCat("{\n  \"format\": \"", kFormat, "\",\n  \"version\": ", kCheckpointFormatVersion,
                   ",\n  \"identity\": \"", manifest.identity, "\",\n  \"step\": ", manifest.step,
                   ",\n  \"parts\": [\n");
  for (size_t i = 0; i < manifest.parts.size(); ++i) {
    const CheckpointPart& part = manifest.parts[i];
    absl::StrAppend(&text, "    {\"file\": \"", part.file, "\", \"size_bytes\": ", part.size_bytes,
                    ", \"sha256\": \"", part.sha256, "\"}",
                    i + 1 < manifest.parts.size() ? ",\n" : "\n");
  }
  absl::StrAppend(&text, "  ],\n");
  return text;
}

absl::Status CheckValues(const CheckpointManifest& manifest) {
  if (!IsSha256(manifest.identity)) return Illegal("identity is no SHA-256");
  if (manifest.step < 1) return Illegal(absl::StrCat("step: found ", manifest.step));
  if (manifest.parts.empty() || manifest.parts.size() > kMaxCheckpointParts) {
    return Illegal(absl::StrCat("parts: found ", manifest.parts.size(), ", legal are 1 to ",
                                kMaxCheckpointParts));
  }
  for (int rank = 0; rank < manifest.world_size(); ++rank) {
    const CheckpointPart& part = manifest.parts[static_cast<size_t>(rank)];
    if (part.file != PartFileName(rank, manifest.world_size()) || part.size_bytes < 0 ||
        part.size_bytes > kMaxPartBytes || !IsSha256(part.sha256)) {
      return Illegal(absl::StrCat("part ", rank, ": illegal file name, size or hash"));
    }
  }
  return absl::OkStatus();
}

// get<int64_t> would convert a number of any size.
int64_t WholeNumber(const Json& json) {
  return json.is_number_integer() ? json.get<int64_t>() : -1;
}

CheckpointManifest FromJson(const Json& json) {
  CheckpointManifest manifest;
  manifest.identity = json.at("identity").get<std::string>();
  manifest.step = WholeNumber(json.at("step"));
  for (const Json& part : json.at("parts")) {
    manifest.parts.push_back({.file = part.at("file").get<std::string>(),
                              .size_bytes = WholeNumber(part.at("size_bytes")),
                              .sha256 = part.at("sha256").get<std::string>()});
  }
  return manifest;
}

}  // namespace

std::string PartFileName(int rank, int world_size) {
  return absl::StrFormat("part-%05d-of-%05d.safetensors", rank, world_size);
}

std::string FormatManifest(const CheckpointManifest& manifest) {
  const std::string body = Body(manifest);
  return absl::StrCat(body, std::string(kHashKey), Sha256Hex(body), std::string(kEnd));
}

absl::StatusOr<CheckpointManifest> ParseManifest(std::string_view text) {
  if (static_cast<int64_t>(text.size()) > kMaxManifestBytes || text.size() < kTailBytes) {
    return Illegal(absl::StrCat("found ", text.size(), " bytes, legal are ", kTailBytes, " to ",
                                kMaxManifestBytes));
  }
  const std::string_view body = text.substr(0, text.size() - kTailBytes);
  const std::string_view promised = text.substr(body.size() + kHashKey.size(), kHashDigits);
  if (const std::string found = Sha256Hex(body); found != promised) {
    return absl::DataLossError(absl::StrCat("checkpoint manifest: the content has SHA-256 ", found,
                                            ", its end does not say so"));
  }
  CheckpointManifest manifest;
  try {
    const Json json = Json::parse(text);
    if (json.at("format") != kFormat || json.at("version") != kCheckpointFormatVersion) {
      return Illegal(absl::StrCat("found another format or version, legal is version ",
                                  kCheckpointFormatVersion));
    }
    manifest = FromJson(json);
  } catch (const Json::exception& error) {
    return Illegal(error.what());
  }
  RETURN_IF_ERROR(CheckValues(manifest));
  // One manifest has one text: nothing unknown, nothing twice.
  if (FormatManifest(manifest) != text) return Illegal("it is not written as this program does");
  return manifest;
}

absl::StatusOr<CheckpointManifest> ReadManifest(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kManifestFile);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxManifestBytes));
  absl::StatusOr<CheckpointManifest> manifest = ParseManifest(text);
  if (!manifest.ok()) return Annotate(manifest.status(), path);
  return manifest;
}

absl::Status WriteManifest(const std::string& folder, const CheckpointManifest& manifest) {
  RETURN_IF_ERROR(CheckValues(manifest));
  return WriteFileAtomically(absl::StrCat(folder, "/", kManifestFile), FormatManifest(manifest));
}

absl::Status VerifyPart(const std::string& folder, const CheckpointPart& part) {
  const std::string path = absl::StrCat(folder, "/", part.file);
  std::error_code error;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, error));
  if (error) return absl::NotFoundError(absl::StrCat(path, ": ", error.message()));
  if (size != part.size_bytes) {
    return absl::DataLossError(
        absl::StrCat(path, ": found ", size, " bytes, the manifest names ", part.size_bytes));
  }
  ASSIGN_OR_RETURN(const std::string found, Sha256HexOfFile(path));
  if (found == part.sha256) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(path, ": found SHA-256 ", found, ", the manifest names ", part.sha256));
}

absl::Status VerifyParts(const std::string& folder, const CheckpointManifest& manifest) {
  for (const CheckpointPart& part : manifest.parts) RETURN_IF_ERROR(VerifyPart(folder, part));
  return absl::OkStatus();
}

}  // namespace dropbp
