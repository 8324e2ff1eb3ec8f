// Manifests of checkpoints, as they are and with the hash that their content asks for: without it
// no other byte would ever be looked at.
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/checkpoint/manifest.h"

namespace dropbp {
namespace {

void Read(const std::string& text) {
  const auto manifest = ParseManifest(text);
  if (manifest.ok() && FormatManifest(*manifest) != text) std::abort();
}

}  // namespace
}  // namespace dropbp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string body(reinterpret_cast<const char*>(data), size);
  dropbp::Read(body);
  dropbp::Read(absl::StrCat(body, "  \"sha256\": \"", dropbp::Sha256Hex(body), "\"\n}\n"));
  return 0;
}
