// A whole agent in this process, with real trainer processes, against a real gRPC server.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/unit/worker/agent/gateway_server.h"
#include "tests/unit/worker/agent/temp_folder.h"
#include "worker/agent/agent.h"

namespace dropbp::agent {

class AgentTest : public ::testing::Test {
 protected:
  AgentTest() {
    WriteText(folder_ / "models/tiny/config.json", "{}");
    dataset_ = server_.AddArtifact("the data");
    options_.coordinator = server_.address();
    options_.worker_id = "node";
    options_.models_dir = folder_ / "models";
    options_.work_dir = folder_ / "work";
    options_.device = "cpu";
    options_.slots = 2;
    options_.threads_per_slot = 3;
    options_.trainer = BinFolder() + "/dropbp-test-trainer";
    options_.stop_grace = absl::Seconds(5);
    StartAgent();
  }

  void StartAgent() {
    auto agent = Agent::Create(options_, BinFolder() + "/dropbp-worker");
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
  }

  // Starts one rank that behaves as told, on a slot.
  v1::StartRanks Order(const std::string& behaviour, int attempt = 1, int slot = 0) {
    v1::StartRanks order;
    order.set_job_id("job");
    order.set_attempt(attempt);
    order.set_world_size(1);
    order.mutable_spec()->set_model("tiny");
    order.mutable_spec()->mutable_dataset()->set_artifact(dataset_);
    (*order.mutable_spec()->mutable_labels())["behaviour"] = behaviour;
    order.add_ranks()->set_slot(slot);
    return order;
  }
  void Start(const v1::StartRanks& order) {
    v1::SessionResponse response;
    *response.mutable_start_ranks() = order;
    server_.Send(response);
  }
  void Stop(int attempt, double grace_seconds, bool save_checkpoint = false) {
    v1::SessionResponse response;
    response.mutable_stop_ranks()->set_job_id("job");
    response.mutable_stop_ranks()->set_attempt(attempt);
    response.mutable_stop_ranks()->set_reason("the test says so");
    response.mutable_stop_ranks()->set_grace_seconds(grace_seconds);
    response.mutable_stop_ranks()->set_save_checkpoint(save_checkpoint);
    server_.Send(response);
  }
  void Command(const v1::TrainerCommand& command) {
    v1::SessionResponse response;
    response.mutable_rank_command()->set_job_id("job");
    response.mutable_rank_command()->set_attempt(1);
    *response.mutable_rank_command()->mutable_command() = command;
    server_.Send(response);
  }

  v1::RankExited AwaitExit(int attempt = 1) {
    return server_
        .AwaitFrame([&](const v1::SessionRequest& frame) {
          return frame.has_rank_exited() && frame.rank_exited().attempt() == attempt;
        })
        .rank_exited();
  }
  v1::TrainerReport AwaitReport(v1::TrainerReport::BodyCase body) {
    return server_
        .AwaitFrame([&](const v1::SessionRequest& frame) {
          return frame.rank_report().report().body_case() == body;
        })
        .rank_report()
        .report();
  }
  std::string AwaitLog(const std::string& part) {
    return server_
        .AwaitFrame([&](const v1::SessionRequest& frame) {
          return frame.rank_log().text().find(part) != std::string::npos;
        })
        .rank_log()
        .text();
  }
  int CountExits() {
    int exits = 0;
    for (const auto& frame : server_.Frames()) exits += frame.has_rank_exited();
    return exits;
  }

  TempFolder folder_;
  GatewayServer server_;
  AgentOptions options_;
  std::string dataset_;
  std::unique_ptr<Agent> agent_;
};

}  // namespace dropbp::agent
