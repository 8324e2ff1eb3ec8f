// Certificates for tests, made by tools/make_certificates.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/status.h"
#include "core/security/tls_files.h"

namespace dropbp::testing {

// Makes an authority, if the folder has none, and certificates of coordinator, worker, user and
// admin. `options` go to the tool as they are.
absl::Status MakeCertificates(const std::filesystem::path& folder, const std::string& options = "");

// The files of "coordinator", "worker", "user" or "admin" in such a folder.
TlsFiles CertificateOf(const std::filesystem::path& folder, const std::string& holder);

// Replaces what a running program reads: the authority and the pair of `holder`.
void ReplaceCertificate(const std::filesystem::path& from, const std::filesystem::path& to,
                        const std::string& holder);

}  // namespace dropbp::testing
