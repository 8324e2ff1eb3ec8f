#include "core/security/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "absl/time/clock.h"
#include "tests/support/certificates.h"

namespace dropbp {
namespace {

using ::testing::HasSubstr;

std::string Rule(const TlsFiles& files, const char* address, TlsSpelling spelling) {
  return std::string(CheckTlsRule(files, "listen", address, spelling).message());
}

TEST(TlsRuleTest, WantsAllThreeFilesOrNone) {
  EXPECT_EQ(Rule({}, "127.0.0.1:1", TlsSpelling::kKey), "");
  EXPECT_EQ(Rule({.ca = "a", .cert = "b", .key = "c"}, "127.0.0.1:1", TlsSpelling::kKey), "");
  EXPECT_THAT(
      Rule({.ca = "a"}, "127.0.0.1:1", TlsSpelling::kKey),
      HasSubstr("found tls_ca only, legal are all of tls_ca, tls_cert and tls_key, or none"));
  EXPECT_THAT(Rule({.ca = "", .cert = "b", .key = "c"}, "10.0.0.1:1", TlsSpelling::kFlag),
              HasSubstr("found --tls-cert and --tls-key only"));
}

TEST(TlsRuleTest, KeepsPlainTextOnTheMachine) {
  EXPECT_THAT(Rule({}, "0.0.0.0:7070", TlsSpelling::kKey),
              HasSubstr("listen: found '0.0.0.0:7070', legal without TLS are loopback addresses"));
  EXPECT_EQ(Rule({.ca = "a", .cert = "b", .key = "c"}, "0.0.0.0:7070", TlsSpelling::kKey), "");
}

class TlsFilesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dropbp-tls-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    const absl::Status made = testing::MakeCertificates(folder_, "--days 3");
    ASSERT_TRUE(made.ok()) << made;
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  std::string Problem(const TlsFiles& files, absl::Time now = absl::Now()) {
    return std::string(CheckTlsFiles(files, now).message());
  }
  std::string Write(const char* name, const std::string& content) {
    std::ofstream(folder_ / name) << content;
    return folder_ / name;
  }

  static inline std::filesystem::path folder_;
  const TlsFiles user_ = testing::CertificateOf(folder_, "user");
};

TEST_F(TlsFilesTest, TakesWhatMakeCertificatesMakes) {
  EXPECT_EQ(Problem({}), "");
  for (const char* holder : {"coordinator", "worker", "user", "admin"}) {
    EXPECT_EQ(Problem(testing::CertificateOf(folder_, holder)), "") << holder;
  }
}

TEST_F(TlsFilesTest, NamesTheFileThatIsMissingOrNoPem) {
  TlsFiles files = user_;
  files.ca = "/nowhere/ca.pem";
  EXPECT_THAT(Problem(files), HasSubstr("/nowhere/ca.pem"));
  files = user_;
  files.cert = Write("text.pem", "no certificate");
  EXPECT_THAT(Problem(files), HasSubstr("text.pem: found no certificate"));
  files = user_;
  files.key = user_.cert;
  EXPECT_THAT(Problem(files), HasSubstr("user.pem: found no private key"));
}

TEST_F(TlsFilesTest, AsksForNoPassword) {
  TlsFiles files = user_;
  files.key = folder_ / "locked.key";
  const std::string command = "openssl pkey -in '" + user_.key + "' -aes256 -passout pass:secret " +
                              "-out '" + files.key + "'";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_THAT(Problem(files), HasSubstr("locked.key: found no private key without a password"));
}

TEST_F(TlsFilesTest, TellsThatKeyAndCertificateAreNoPair) {
  TlsFiles files = user_;
  files.key = testing::CertificateOf(folder_, "admin").key;
  EXPECT_THAT(Problem(files), HasSubstr("admin.key: found a key that does not belong to"));
}

TEST_F(TlsFilesTest, KnowsWhenACertificateEnds) {
  const auto end = CertificateEnd(user_.cert);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_LT(*end, absl::Now() + absl::Hours(3 * 24 + 1));
  EXPECT_GT(*end, absl::Now() + absl::Hours(3 * 24 - 1));
  EXPECT_EQ(Problem(user_, *end - absl::Seconds(1)), "");
  EXPECT_THAT(Problem(user_, *end), HasSubstr("user.pem: found a certificate that ended on"));
  EXPECT_FALSE(CertificateEnd(user_.key).ok());
}

}  // namespace
}  // namespace dropbp
