#include "tests/support/certificates.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace dropbp::testing {

namespace fs = std::filesystem;

absl::Status MakeCertificates(const fs::path& folder, const std::string& options) {
  const char* source = std::getenv("DROPBP_SOURCE_DIR");
  if (source == nullptr) return absl::FailedPreconditionError("DROPBP_SOURCE_DIR is not set");
  const std::string command = absl::StrCat(source, "/tools/make_certificates '", folder.string(),
                                           "' ", options, " > /dev/null");
  const int status = std::system(command.c_str());
  if (status == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(command, " ended with status ", status));
}

TlsFiles CertificateOf(const fs::path& folder, const std::string& holder) {
  return {.ca = folder / "ca.pem",
          .cert = folder / (holder + ".pem"),
          .key = folder / (holder + ".key")};
}

void ReplaceCertificate(const fs::path& from, const fs::path& to, const std::string& holder) {
  fs::create_directories(to);
  for (const std::string& name : {std::string("ca.pem"), holder + ".pem", holder + ".key"}) {
    fs::copy_file(from / name, to / (name + ".new"), fs::copy_options::overwrite_existing);
    fs::rename(to / (name + ".new"), to / name);
  }
}

}  // namespace dropbp::testing
