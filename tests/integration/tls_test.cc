// A whole job where coordinator, worker and client show each other certificates.
#include "absl/strings/str_cat.h"
#include "tests/integration/cluster_test.h"
#include "tests/support/certificates.h"

namespace dropbp::testing {
namespace {

using ::testing::HasSubstr;

class TlsTest : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (!IsSkipped()) StartCluster({.tls = true});
  }

  // `dropbp`, as the user of the cluster's environment unless flags say otherwise.
  int Dropbp(const std::string& name, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--retry-seconds", "0"});
    return ClusterTest::Dropbp(name, std::move(arguments));
  }
  std::vector<std::string> As(const std::string& holder, std::vector<std::string> words) {
    const TlsFiles files = CertificateOf(cluster().certificates(), holder);
    words.insert(words.end(), {"--tls-cert", files.cert, "--tls-key", files.key});
    return words;
  }
};

TEST_F(TlsTest, AJobRunsFromUploadToDownload) {
  const v1::Job job = RunUndisturbed(TinyJob());
  const std::string to = (cluster().folder() / "adapter").string();
  EXPECT_EQ(Dropbp("download", {"download", job.job_id(), "--to", to}), 0)
      << cluster().FileContent("download.err");
  EXPECT_NE(cluster().FileContent("adapter/adapter_config.json"), "");
}

TEST_F(TlsTest, RolesHoldForThePrograms) {
  EXPECT_EQ(Dropbp("user", {"workers"}), 0) << cluster().FileContent("user.err");
  EXPECT_THAT(cluster().FileContent("user.out"), HasSubstr("worker-0"));
  EXPECT_EQ(Dropbp("drain", {"drain", "worker-0"}), 7);
  EXPECT_THAT(cluster().FileContent("drain.err"),
              HasSubstr("dropbp.v1.ClusterService/DrainWorker: found role user, legal is admin"));
  EXPECT_EQ(Dropbp("admin", As("admin", {"drain", "worker-0"})), 0)
      << cluster().FileContent("admin.err");
  EXPECT_EQ(Dropbp("worker", As("worker", {"list"})), 7);
  EXPECT_THAT(cluster().FileContent("worker.err"), HasSubstr("found role worker, legal is user"));
}

TEST_F(TlsTest, AStrangerIsToldHowToFindOutWhy) {
  const auto strangers = cluster().folder() / "strangers";
  ASSERT_OK(MakeCertificates(strangers));
  const TlsFiles files = CertificateOf(strangers, "admin");
  EXPECT_EQ(Dropbp("stranger", {"list", "--tls-cert", files.cert, "--tls-key", files.key}), 4);
  EXPECT_THAT(cluster().FileContent("stranger.err"), HasSubstr("next: openssl s_client"));
}

}  // namespace
}  // namespace dropbp::testing
