// The page and its JSON over a real socket.
#include "server/web/web_pages.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <regex>
#include <set>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/web/assets.h"
#include "tests/unit/server/cluster_fixture.h"
#include "tests/unit/server/http_exchange.h"

namespace dropbp::server {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class WebPagesTest : public ClusterTest {
 protected:
  // One server for all tests, each with pages of its own: civetweb takes two seconds to stop.
  static void SetUpTestSuite() {
    auto http = HttpServer::Start(
        "127.0.0.1:0", [](const HttpRequest& request) { return pages_->Answer(request); });
    ASSERT_TRUE(http.ok()) << http.status();
    http_ = *std::move(http);
  }
  static void TearDownTestSuite() { http_.reset(); }

  WebPagesTest() {
    agent_.Connect(*coordinator_);
    Serve({.metrics = [] { return std::string("dropbp_jobs 1\n"); }});
  }
  ~WebPagesTest() override { pages_.reset(); }

  void Serve(WebOptions options) {
    pages_ = std::make_unique<WebPages>(std::move(options), *coordinator_);
  }

  HttpAnswer Get(const std::string& path) { return HttpGet(http_->address(), path); }
  int CodeOf(const std::string& path) { return Get(path).code; }
  int CodeForHost(const std::string& host) {
    return Exchange(http_->address(),
                    absl::StrCat("GET /api/v1/workers HTTP/1.1\r\nHost: ", host, "\r\n\r\n"))
        .code;
  }

  template <typename Message>
  Message GetMessage(const std::string& path) {
    const HttpAnswer answer = Get(path);
    EXPECT_EQ(answer.code, 200) << path << ": " << answer.body;
    EXPECT_THAT(answer.headers, HasSubstr("Content-Type: application/json"));
    Message message;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(answer.body, &message).ok())
        << answer.body;
    return message;
  }

  TestAgent agent_{"a", 11, 2};
  static std::unique_ptr<WebPages> pages_;
  static std::unique_ptr<HttpServer> http_;
};

std::unique_ptr<WebPages> WebPagesTest::pages_;
std::unique_ptr<HttpServer> WebPagesTest::http_;

std::vector<std::string> IdsOf(const v1::ListJobsResponse& list) {
  std::vector<std::string> ids;
  for (const v1::Job& job : list.jobs()) ids.push_back(job.job_id());
  return ids;
}

TEST_F(WebPagesTest, AJobIsWhatTheApiSays) {
  SubmitAndRun("job", agent_);
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, rank, 0).ok());
  const auto job = GetMessage<v1::Job>("/api/v1/jobs/job");
  EXPECT_TRUE(MessageDifferencer::Equals(job, ClusterTest::Get("job"))) << job.DebugString();
  EXPECT_EQ(job.progress().loss(), 2.0);
  EXPECT_EQ(job.plan().units_size(), 4);
}

TEST_F(WebPagesTest, TheListIsWhatTheApiSaysWithoutUnits) {
  SubmitAndRun("job", agent_);
  v1::Job expected = ClusterTest::Get("job");
  expected.mutable_plan()->clear_units();
  expected.mutable_plan()->clear_stages();
  const auto list = GetMessage<v1::ListJobsResponse>("/api/v1/jobs");
  ASSERT_EQ(list.jobs_size(), 1);
  EXPECT_TRUE(MessageDifferencer::Equals(list.jobs(0), expected)) << list.DebugString();
}

TEST_F(WebPagesTest, TheListComesInPagesAndByState) {
  for (const char* id : {"one", "two", "three"}) Submit(id);
  ASSERT_TRUE(coordinator_->CancelJob("two").ok());
  auto page = GetMessage<v1::ListJobsResponse>("/api/v1/jobs?page_size=2");
  EXPECT_THAT(IdsOf(page), ElementsAre("three", "two"));
  page = GetMessage<v1::ListJobsResponse>(
      absl::StrCat("/api/v1/jobs?page_size=2&page_token=", page.next_page_token()));
  EXPECT_THAT(IdsOf(page), ElementsAre("one"));
  EXPECT_EQ(page.next_page_token(), "");
  page = GetMessage<v1::ListJobsResponse>("/api/v1/jobs?state=CANCELLED&state=FAILED");
  EXPECT_THAT(IdsOf(page), ElementsAre("two"));
}

TEST_F(WebPagesTest, TheListIsBounded) {
  for (int i = 0; i < 105; ++i) Submit(absl::StrCat("job-", i));
  EXPECT_EQ(GetMessage<v1::ListJobsResponse>("/api/v1/jobs").jobs_size(), 20);
  EXPECT_EQ(GetMessage<v1::ListJobsResponse>("/api/v1/jobs?page_size=9999").jobs_size(), 100);
}

TEST_F(WebPagesTest, WorkersAndEventsAreWhatTheApiSays) {
  SubmitAndRun("job", agent_);
  const auto list = GetMessage<v1::ListWorkersResponse>("/api/v1/workers");
  ASSERT_EQ(list.workers_size(), 1);
  EXPECT_TRUE(MessageDifferencer::Equals(list.workers(0), coordinator_->ListWorkers()[0]));
  EXPECT_EQ(list.workers(0).slots(1).job_id(), "job");
  const auto history = GetMessage<v1::EventHistory>("/api/v1/jobs/job/events");
  ASSERT_GE(history.events_size(), 4);
  EXPECT_EQ(history.events(0).type(), v1::JobEvent::CREATED);
  EXPECT_EQ(history.events().rbegin()->sequence(), ClusterTest::Get("job").last_event());
  EXPECT_THAT(GetMessage<v1::StepHistory>("/api/v1/jobs/job/steps").step(), IsEmpty());
}

TEST_F(WebPagesTest, MetricsKeepTheirPlace) {
  const HttpAnswer answer = Get("/metrics");
  EXPECT_EQ(answer.code, 200);
  EXPECT_EQ(answer.body, "dropbp_jobs 1\n");
  EXPECT_THAT(answer.headers, HasSubstr("text/plain; version=0.0.4"));
}

TEST_F(WebPagesTest, WhatIsNotThereIsNotFound) {
  Submit("job");
  for (const char* path : {"/nothing",
                           "//",
                           "/index.html/",
                           "/assets/index.html",
                           "/../index.html",
                           "/%69ndex.html",
                           "/metrics/",
                           "//metrics",
                           "/x/../metrics",
                           "/metrics%00",
                           "/api",
                           "/api/v1",
                           "/api/v1/",
                           "/api/v1/jobs/",
                           "/api/v1/jobs/nobody",
                           "/api/v1/jobs/JOB",
                           "/api/v1/jobs/job/",
                           "/api/v1/jobs/job/secrets",
                           "/api/v1/jobs/job/steps/",
                           "/api/v1/jobs/..%2Fworkers",
                           "/api/v1/jobs/%6aob",
                           "/api/v1/jobs/job'--",
                           "/api/v1/workers/a",
                           "/API/v1/jobs",
                           "/api/v1/jobs/nobody/steps",
                           "/api/v1/jobs/nobody/events"}) {
    const int code = CodeOf(path);
    EXPECT_TRUE(code == 404 || code == 400) << path << ": " << code;
  }
}

TEST_F(WebPagesTest, AnErrorIsAStatusWithDetails) {
  const HttpAnswer answer = Get("/api/v1/jobs/nobody");
  EXPECT_EQ(answer.code, 404);
  google::rpc::Status status;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(answer.body, &status).ok());
  EXPECT_EQ(status.code(), 5);
  EXPECT_THAT(status.message(), HasSubstr("nobody"));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(status.details(0).UnpackTo(&info)) << answer.body;
  EXPECT_EQ(info.reason(), "JOB_NOT_FOUND");
}

TEST_F(WebPagesTest, AQueryThatMakesNoSenseIsRefused) {
  std::string many = "state=RUNNING";
  for (int i = 0; i < 40; ++i) many += "&state=RUNNING";
  for (const std::string& query :
       {std::string("page_size=0"), std::string("page_size=-1"), std::string("page_size=x"),
        std::string("page_size=99999999999"), std::string("state=ASLEEP"),
        std::string("page_token=forged"), std::string("limit=5"), std::string("page_size"),
        std::string("=5"), std::string("page_size=5&"), std::string("state=%52UNNING"), many}) {
    EXPECT_EQ(CodeOf("/api/v1/jobs?" + query), 400) << query;
  }
}

TEST_F(WebPagesTest, OnLoopbackNoOtherNameIsAnswered) {
  for (const char* host :
       {"localhost", "LOCALHOST:7071", "127.0.0.1:1", "[::1]:7071", "10.1.2.3"}) {
    EXPECT_EQ(CodeForHost(host), 200) << host;
  }
  for (const char* host :
       {"evil.example", "evil.example:7071", "localhost.evil.example", "127.0.0.1.evil.example"}) {
    EXPECT_EQ(CodeForHost(host), 403) << host;
  }
  Serve({.any_host = true});
  EXPECT_EQ(CodeForHost("coordinator.dropbp.svc:7071"), 200);
}

TEST_F(WebPagesTest, ThePageIsWholeAndLoadsNothingOfOthers) {
  const HttpAnswer page = Get("/");
  EXPECT_EQ(page.code, 200);
  EXPECT_THAT(page.headers, HasSubstr("Content-Type: text/html; charset=utf-8"));
  std::set<std::string> named;
  const std::regex link(R"x((?:src|href|from) ?=?"(?:\./|/)?([a-z]+\.[a-z]+)")x");
  for (const Asset& asset : Assets()) {
    const std::string content(asset.content);
    EXPECT_EQ(Get("/" + std::string(asset.name)).body, content);
    for (std::sregex_iterator at(content.begin(), content.end(), link), end; at != end; ++at) {
      named.insert((*at)[1]);
      EXPECT_EQ(CodeOf("/" + (*at)[1].str()), 200) << (*at)[1];
    }
    EXPECT_THAT(content, AllOf(Not(HasSubstr("https://")), Not(HasSubstr("innerHTML")),
                               Not(HasSubstr("style="))))
        << asset.name;
  }
  EXPECT_THAT(named, AllOf(Contains("page.js"), Contains("page.css"), Contains("icon.svg"),
                           Contains("curve.js")));
}

}  // namespace
}  // namespace dropbp::server
