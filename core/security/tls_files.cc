#include "core/security/tls_files.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/security/address.h"

namespace dropbp {
namespace {

constexpr int64_t kMaxPemBytes = 1 << 20;

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;

absl::StatusOr<Bio> OpenPem(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(path, kMaxPemBytes));
  Bio bio(BIO_new(BIO_s_mem()));
  BIO_write(bio.get(), pem.data(), static_cast<int>(pem.size()));
  return bio;
}

absl::Status NoPem(const std::string& path, const char* legal) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": found no ", legal, ", legal is a PEM file that begins with one"));
}

absl::StatusOr<Certificate> ReadCertificate(const std::string& path) {
  ASSIGN_OR_RETURN(const Bio bio, OpenPem(path));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return NoPem(path, "certificate");
  return certificate;
}

// Instead of a question on the terminal.
int NoPassword(char*, int, int, void*) { return 0; }

absl::StatusOr<Key> ReadKey(const std::string& path) {
  ASSIGN_OR_RETURN(const Bio bio, OpenPem(path));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) return NoPem(path, "private key without a password");
  return key;
}

absl::StatusOr<absl::Time> EndOf(const X509& certificate, const std::string& path) {
  std::tm end = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(&certificate), &end) != 1) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": the certificate's end is no time"));
  }
  return absl::FromTM(end, absl::UTCTimeZone());
}

std::string Name(TlsSpelling spelling, std::string_view what) {
  return absl::StrCat(spelling == TlsSpelling::kKey ? "tls_" : "--tls-", AbslView(what));
}

std::string AllNames(TlsSpelling spelling) {
  return absl::StrCat(Name(spelling, "ca"), ", ", Name(spelling, "cert"), " and ",
                      Name(spelling, "key"));
}

absl::Status CheckContent(const TlsFiles& files, absl::Time now) {
  RETURN_IF_ERROR(ReadCertificate(files.ca).status());
  ASSIGN_OR_RETURN(const Certificate certificate, ReadCertificate(files.cert));
  ASSIGN_OR_RETURN(const Key key, ReadKey(files.key));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat(files.key, ": found a key that does not belong to the certificate in ",
                     files.cert, ", legal is the key that it was made with"));
  }
  ASSIGN_OR_RETURN(const absl::Time end, EndOf(*certificate, files.cert));
  if (now < end) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(files.cert, ": found a certificate that ended on ",
                   absl::FormatTime(end, absl::UTCTimeZone()), ", legal is one that is valid now"));
}

}  // namespace

absl::Status CheckTlsRule(const TlsFiles& files, std::string_view address_name,
                          std::string_view address, TlsSpelling spelling) {
  std::vector<std::string> given;
  if (!files.ca.empty()) given.push_back(Name(spelling, "ca"));
  if (!files.cert.empty()) given.push_back(Name(spelling, "cert"));
  if (!files.key.empty()) given.push_back(Name(spelling, "key"));
  if (given.size() == 1 || given.size() == 2) {
    return absl::InvalidArgumentError(absl::StrCat("TLS: found ", absl::StrJoin(given, " and "),
                                                   " only, legal are all of ", AllNames(spelling),
                                                   ", or none"));
  }
  if (files.given() || IsLoopbackAddress(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      AbslView(address_name), ": found '", AbslView(address),
      "', legal without TLS are loopback addresses (127.0.0.1, localhost, [::1]) and unix:PATH: "
      "the connection is not encrypted; for other machines give ",
      AllNames(spelling), " (docs/security.md)"));
}

absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now) {
  if (!files.given()) return absl::OkStatus();
  const absl::Status status = CheckContent(files, now);
  return status.ok() ? status : absl::InvalidArgumentError(status.message());
}

absl::StatusOr<absl::Time> CertificateEnd(const std::string& path) {
  ASSIGN_OR_RETURN(const Certificate certificate, ReadCertificate(path));
  return EndOf(*certificate, path);
}

}  // namespace dropbp
