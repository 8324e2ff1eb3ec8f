#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/files.h"

namespace dropbp::server {
namespace {

using ::testing::HasSubstr;

std::string Problems(const absl::Status& status) { return std::string(status.message()); }

TEST(ConfigTest, ReadsYaml) {
  CoordinatorConfig config;
  ASSERT_TRUE(ReadConfig("listen: 127.0.0.1:0\nreflection: true\nlease_seconds: 2.5\n"
                         "log_limit_bytes: 1000\n",
                         "c.yaml", config)
                  .ok());
  EXPECT_EQ(config.listen, "127.0.0.1:0");
  EXPECT_TRUE(config.reflection);
  EXPECT_EQ(config.lease_seconds, 2.5);
  EXPECT_EQ(config.log_limit_bytes, 1000);
  EXPECT_EQ(config.metrics_listen, "127.0.0.1:7071");
}

TEST(ConfigTest, NamesEveryWrongLine) {
  CoordinatorConfig config;
  const std::string problems =
      Problems(ReadConfig("listn: x\nlease_seconds: soon\ndata_dir: [a]\n", "c.yaml", config));
  EXPECT_THAT(problems, HasSubstr("c.yaml:1: listn: unknown key"));
  EXPECT_THAT(problems, HasSubstr("c.yaml:2: lease_seconds: found 'soon', legal is a number"));
  EXPECT_THAT(problems, HasSubstr("c.yaml:3: data_dir"));
  EXPECT_THAT(Problems(ReadConfig("a: [", "c.yaml", config)), HasSubstr("c.yaml:"));
}

TEST(ConfigTest, RefusesPlainTextOffTheMachine) {
  CoordinatorConfig config;
  for (const char* legal : {"127.0.0.1:0", "localhost:7070", "[::1]:80", "unix:/tmp/socket"}) {
    config.listen = legal;
    EXPECT_TRUE(CheckConfig(config).ok()) << legal;
  }
  for (const char* illegal : {"0.0.0.0:7070", "[::]:7070", "10.0.0.1:1", "127.0.0.1", "x:99999"}) {
    config.listen = illegal;
    EXPECT_THAT(Problems(CheckConfig(config)), HasSubstr("listen: found")) << illegal;
  }
  config = CoordinatorConfig();
  config.metrics_listen = "0.0.0.0:1";
  EXPECT_THAT(Problems(CheckConfig(config)), HasSubstr("metrics_listen: found '0.0.0.0:1'"));
}

TEST(ConfigTest, TakesAnyAddressWithTls) {
  CoordinatorConfig config;
  ASSERT_TRUE(ReadConfig("listen: 0.0.0.0:7070\ntls_ca: ca\ntls_cert: cert\ntls_key: key\n",
                         "c.yaml", config)
                  .ok());
  EXPECT_EQ(config.tls.cert, "cert");
  EXPECT_TRUE(CheckConfig(config).ok());
  config.listen = "0.0.0.0";
  EXPECT_THAT(Problems(CheckConfig(config)),
              HasSubstr("listen: found '0.0.0.0', legal is HOST:PORT"));
  config.tls.key.clear();
  EXPECT_THAT(Problems(CheckConfig(config)), HasSubstr("found tls_ca and tls_cert only"));
}

TEST(ConfigTest, ServesMetricsOffTheMachineOnlyWhereThatIsSaid) {
  CoordinatorConfig config;
  config.tls = {.ca = "ca", .cert = "cert", .key = "key"};
  config.metrics_listen = "0.0.0.0:7071";
  EXPECT_THAT(Problems(CheckConfig(config)), HasSubstr("set metrics_off_loopback"));
  config.metrics_off_loopback = true;
  EXPECT_TRUE(CheckConfig(config).ok());
}

TEST(ConfigTest, ChecksNumbersAndWords) {
  CoordinatorConfig config;
  config.heartbeat_seconds = 20;
  EXPECT_THAT(Problems(CheckConfig(config)), HasSubstr("less than lease_seconds (15)"));
  config.log_level = "loud";
  EXPECT_THAT(Problems(CheckConfig(config)), HasSubstr("log_level: found 'loud'"));
}

TEST(ConfigTest, TheShippedFileHoldsTheDefaults) {
  const std::string path =
      std::string(std::getenv("DROPBP_SOURCE_DIR")) + "/configs/coordinator.yaml";
  const auto yaml = ReadFile(path, 1 << 20);
  ASSERT_TRUE(yaml.ok()) << yaml.status();
  CoordinatorConfig config;
  EXPECT_TRUE(ReadConfig(*yaml, path, config).ok());
  EXPECT_TRUE(CheckConfig(config).ok());
  EXPECT_EQ(config.listen, CoordinatorConfig().listen);
  EXPECT_EQ(config.lease_seconds, CoordinatorConfig().lease_seconds);
  EXPECT_EQ(config.artifact_limit_bytes, CoordinatorConfig().artifact_limit_bytes);
}

TEST(ConfigTest, FlagsGoOverTheFile) {
  const char* arguments[] = {"dropbp-coordinator", "--listen", "127.0.0.1:9", "--reflection"};
  const auto parsed = ParseArguments(4, const_cast<char**>(arguments));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.listen, "127.0.0.1:9");
  EXPECT_TRUE(parsed->config.reflection);
  const char* tls[] = {"dropbp-coordinator", "--listen=0.0.0.0:1", "--tls-ca=a", "--tls-cert=b",
                       "--tls-key=c"};
  EXPECT_EQ(ParseArguments(5, const_cast<char**>(tls))->config.tls.key, "c");
  const char* open[] = {"dropbp-coordinator", "--listen", "0.0.0.0:7070"};
  EXPECT_THAT(Problems(ParseArguments(3, const_cast<char**>(open)).status()),
              HasSubstr("not encrypted"));
}

}  // namespace
}  // namespace dropbp::server
