#include "server/web/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/server/http_exchange.h"

namespace dropbp::server {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class HttpServerTest : public ::testing::Test {
 protected:
  // One server for all tests: civetweb takes two seconds to stop.
  static void SetUpTestSuite() {
    auto server = HttpServer::Start("127.0.0.1:0", [](const HttpRequest& request) -> HttpResponse {
      if (request.path == "/nothing") return {.code = 404, .body = "none"};
      return {.body = absl::StrCat(request.path, "|", request.query, "|", request.host)};
    });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  static void TearDownTestSuite() { server_.reset(); }

  HttpAnswer Send(const std::string& method, const std::string& headers = "",
                  const std::string& body = "") {
    return Exchange(server_->address(),
                    absl::StrCat(method, " /a?b=c HTTP/1.1\r\nHost: h\r\n", headers, "\r\n", body));
  }

  static std::unique_ptr<HttpServer> server_;
};

std::unique_ptr<HttpServer> HttpServerTest::server_;

TEST_F(HttpServerTest, GivesTheHandlerThePathTheQueryAndTheHost) {
  const HttpAnswer answer = Send("GET");
  EXPECT_EQ(answer.code, 200);
  EXPECT_EQ(answer.body, "/a|b=c|h");
  EXPECT_THAT(answer.headers, HasSubstr("Content-Length: 8"));
}

TEST_F(HttpServerTest, AnswersHeadLikeGetWithoutTheBody) {
  const HttpAnswer answer = Send("HEAD");
  EXPECT_EQ(answer.code, 200);
  EXPECT_THAT(answer.headers, HasSubstr("Content-Length: 8"));
  EXPECT_EQ(answer.body, "");
}

TEST_F(HttpServerTest, EveryAnswerForbidsWhatThePageDoesNotNeed) {
  for (const HttpAnswer& answer :
       {Send("GET"), Send("POST"), HttpGet(server_->address(), "/nothing")}) {
    EXPECT_THAT(answer.headers,
                AllOf(HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self'"),
                      HasSubstr("frame-ancestors 'none'"), Not(HasSubstr("unsafe-inline")),
                      HasSubstr("X-Content-Type-Options: nosniff"), Not(HasSubstr("Set-Cookie")),
                      Not(HasSubstr("Access-Control-Allow"))));
  }
}

TEST_F(HttpServerTest, OnlyReads) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "MKCOL"}) {
    const HttpAnswer answer = Send(method, "Content-Length: 2\r\n", "{}");
    EXPECT_EQ(answer.code, 405) << method;
    EXPECT_THAT(answer.headers, HasSubstr("Allow: GET, HEAD")) << method;
  }
}

TEST_F(HttpServerTest, RefusesWhatIsNoRequest) {
  for (const std::string& request :
       {std::string("nonsense\r\n\r\n"), std::string("GET\r\n\r\n"),
        std::string("BREW /a HTTP/1.1\r\n\r\n"), std::string("GET a HTTP/1.1\r\n\r\n"),
        absl::StrCat("GET /", std::string(20000, 'a'), " HTTP/1.1\r\n\r\n"),
        absl::StrCat("GET / HTTP/1.1\r\nX: ", std::string(20000, 'a'), "\r\n\r\n")}) {
    EXPECT_THAT(Exchange(server_->address(), request).code, AnyOf(0, 400, 405, 413, 431, 505))
        << request.substr(0, 40);
  }
  EXPECT_EQ(Send("GET").code, 200);  // it goes on
}

TEST_F(HttpServerTest, HandsOnAPathAsItWasSent) {
  for (const char* path : {"/%2e%2e/a", "/a%2Fb", "/a/../b", "//a", "/a%00b"}) {
    const HttpAnswer answer = HttpGet(server_->address(), path);
    EXPECT_TRUE(answer.code == 400 || answer.body.substr(0, answer.body.find('|')) == path)
        << path << ": " << answer.code << " " << answer.body;
  }
}

TEST_F(HttpServerTest, SaysWhyItCannotListen) {
  const auto second =
      HttpServer::Start(server_->address(), [](const HttpRequest&) { return HttpResponse(); });
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              AllOf(HasSubstr(server_->address()), HasSubstr("in use")));
}

TEST_F(HttpServerTest, ListensOnLocalhostByName) {
  const auto server =
      HttpServer::Start("localhost:0", [](const HttpRequest&) { return HttpResponse(); });
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(HttpGet((*server)->address(), "/").code, 200);
}

}  // namespace
}  // namespace dropbp::server
