// The clients as programs: `dropbp`, and one in another language.
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "tests/integration/cluster_test.h"

namespace dropbp::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

class ClientsTest : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    StartCluster();
    std::ofstream(cluster().folder() / "data.jsonl") << data_;
  }

  int Dropbp(std::vector<std::string> arguments) {
    return ClusterTest::Dropbp("dropbp", std::move(arguments));
  }
};

TEST_F(ClientsTest, APythonProgramMadeFromTheProtosSubmitsWatchesAndDownloads) {
  const std::string source = RequiredEnvironment("DROPBP_SOURCE_DIR");
  ASSERT_EQ(Run("foreign", {RequiredEnvironment("DROPBP_ORACLES") + "/bin/python",
                            source + "/tests/integration/foreign_client.py", source + "/proto",
                            cluster().address(), (cluster().folder() / "data.jsonl").string(),
                            (cluster().folder() / "out").string()}),
            0)
      << cluster().FileContent("foreign.err");
  const auto result = nlohmann::json::parse(cluster().FileContent("foreign.out"));
  EXPECT_EQ(result["states"],
            (nlohmann::json{"QUEUED", "PREPARING", "STARTING", "RUNNING", "SUCCEEDED"}));
  EXPECT_EQ(result["last_step"], 20);
  EXPECT_THAT(result["files"].get<std::vector<std::string>>(),
              AllOf(Contains("adapter_config.json"), Contains("adapter_model.safetensors")));
}

TEST_F(ClientsTest, TheCommandLineTakesAJobFromFileToAdapter) {
  std::ofstream(cluster().folder() / "job.yaml")
      << "name: by-hand\n"
         "model: tiny\n"
         "dataset:\n  file: data.jsonl\n  max_length: 64\n"
         "lora:\n  rank: 4\n"
         "training:\n  steps: 20\n  global_batch_size: 8\n"
         "  micro_batch_size: 2\n"
         "resources:\n  ranks: 2\n  device: cpu\n";
  ASSERT_EQ(Dropbp({"submit", "--follow", "-f", (cluster().folder() / "job.yaml").string()}), 0)
      << cluster().FileContent("dropbp.err");
  EXPECT_EQ(cluster().FileContent("dropbp.out"), "by-hand\n");
  EXPECT_THAT(cluster().FileContent("dropbp.err"), HasSubstr("step 20/20  100.0%"));
  const std::filesystem::path target = cluster().folder() / "adapter";
  ASSERT_EQ(Dropbp({"download", "by-hand", "--to", target.string()}), 0);
  EXPECT_TRUE(std::filesystem::exists(target / "adapter_config.json"));
  EXPECT_TRUE(std::filesystem::exists(target / "adapter_model.safetensors"));
  EXPECT_EQ(Dropbp({"wait", "by-hand"}), 0);
  EXPECT_EQ(Dropbp({"get", "nobody"}), 3);
  EXPECT_EQ(Dropbp({"plan", "by-hand"}), 0);
  EXPECT_EQ(Dropbp({"logs", "by-hand", "--rank", "1", "--tail", "3"}), 0);
  EXPECT_THAT(cluster().FileContent("dropbp.out"), HasSubstr("step 20/20"));
}

}  // namespace
}  // namespace dropbp::testing
