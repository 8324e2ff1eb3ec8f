// The three files of TLS that each program takes, the rule when they are needed, and what is
// checked of them before a program starts. Certificates themselves are made elsewhere
// (docs/security.md).
#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "core/base/status.h"

namespace dropbp {

struct TlsFiles {
  std::string ca = {};    // PEM: certificates of the authorities that peers are trusted by
  std::string cert = {};  // PEM: own certificate, then those between it and the authority
  std::string key = {};   // PEM: private key of `cert`, without a password

  // Whether TLS is used.
  bool given() const { return !ca.empty() || !cert.empty() || !key.empty(); }
};

// How a program's user writes the settings.
enum class TlsSpelling {
  kKey,   // tls_ca
  kFlag,  // --tls-ca
};

// INVALID_ARGUMENT, with what was found and what is legal:
// - if some of the three files are given, but not all;
// - if none is given and `address` (of the setting `address_name`) is not on loopback: plain text
//   stays on the machine.
absl::Status CheckTlsRule(const TlsFiles& files, std::string_view address_name,
                          std::string_view address, TlsSpelling spelling);

// INVALID_ARGUMENT, with the path, if a file cannot be read or is no PEM of its kind, if the key
// does not belong to the certificate, or if the certificate has ended at `now`. OK if TLS is not
// used.
absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now);

// When the first certificate of a PEM file ends. FAILED_PRECONDITION, with the path, if there is
// none.
absl::StatusOr<absl::Time> CertificateEnd(const std::string& path);

}  // namespace dropbp
