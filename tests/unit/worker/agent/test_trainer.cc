// A trainer without a model: speaks the link and behaves as the job's label "behaviour" says.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>

#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {
namespace {

using Behaviour = std::function<int(CoordinatorLink&)>;

// The link has no way to wait for a stop request or a mask block: trainers look between steps.
void WaitUntil(const std::function<bool()>& condition) {
  while (!condition()) poll(nullptr, 0, 5);
}

void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

int Finish(CoordinatorLink& link) {
  link.ReportReady(0, 3);
  for (int step = 0; step < 3; ++step) {
    StepReport report;
    report.step = step;
    report.loss = 3.0 - step;
    link.ReportStep(report);
  }
  std::ofstream result(link.assignment().output_dir + "/result.txt");
  result << "made from " << std::ifstream(link.assignment().dataset_path).rdbuf();
  for (const auto& [sha256, path] : link.assignment().mix_paths)
    result << " and " << std::ifstream(path).rdbuf();
  result.close();
  const absl::Status status = link.ReportFinished(3, {"result.txt"}, "");
  Say("finished: " + status.ToString());
  return status.ok() ? 0 : 1;
}

int ExitWithSeven(CoordinatorLink&) {
  for (int line = 1; line <= 30; ++line) Say("line " + std::to_string(line));
  std::fprintf(stderr, "the end \xff without a line end");
  return 7;
}

int Abort(CoordinatorLink&) {
  Say("about to abort");
  std::abort();
}

int UntilStopped(CoordinatorLink& link) {
  link.ReportReady(0, 100);
  Say("processes " + std::to_string(getpid()));
  WaitUntil([&] { return link.stop_request() != StopRequest::kNone; });
  Say("stopped as asked");
  return 0;
}

// Ignores every polite request and has a child that does as well.
int Stubborn(CoordinatorLink& link) {
  std::signal(SIGTERM, SIG_IGN);
  const pid_t child = fork();
  if (child == 0) {
    while (true) pause();
  }
  Say("processes " + std::to_string(getpid()) + " " + std::to_string(child));
  link.ReportReady(0, 100);
  while (true) pause();
}

int Fail(CoordinatorLink& link) {
  link.ReportFailure(FailureKind::kUserError, "the batch does not fit \xff");
  return 1;
}

int UseStore(CoordinatorLink& link) {
  const absl::StatusOr<std::string> value = link.store()->Get("greeting", absl::Minutes(1));
  Say("store says " + value.value_or(value.status().ToString()));
  return 0;
}

int AwaitMasks(CoordinatorLink& link) {
  std::vector<MaskBlock> blocks;
  WaitUntil([&] { return !(blocks = link.TakeMaskBlocks()).empty(); });
  Say("masks from step " + std::to_string(blocks[0].first_step));
  return 0;
}

void SavePart(CoordinatorLink& link, int64_t step) {
  const std::string folder = link.assignment().output_dir + "/checkpoints";
  std::filesystem::create_directories(folder);
  const std::string file = "step-" + std::to_string(step) + ".safetensors";
  std::ofstream(folder + "/" + file) << "the part after " << step << " steps";
  link.ReportCheckpoint({.step = step, .file = file, .error = {}, .totals = {.tokens = 7}});
}

// Saves a part of a checkpoint at once, and another one if it is asked to when it is stopped.
int SaveCheckpoints(CoordinatorLink& link) {
  link.ReportReady(0, 100);
  SavePart(link, 5);
  WaitUntil([&] { return link.stop_request() != StopRequest::kNone; });
  if (link.stop_request() == StopRequest::kSaveAndStop) SavePart(link, 9);
  return 0;
}

// Tells what there is to go on from.
int GoOn(CoordinatorLink& link) {
  for (const std::string& folder : {link.assignment().checkpoint_dir, link.assignment().init_dir}) {
    if (folder.empty()) continue;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      std::string content;
      std::getline(std::ifstream(file.path()), content);
      Say(file.path().filename().string() + " holds " + content);
    }
  }
  return 0;
}

// Closes the link without a last word.
int Leave(CoordinatorLink&) { return 0; }

const std::map<std::string, Behaviour>& Behaviours() {
  static const std::map<std::string, Behaviour> behaviours = {
      {"finish", Finish},        {"exit", ExitWithSeven}, {"abort", Abort},
      {"wait", UntilStopped},    {"stubborn", Stubborn},  {"fail", Fail},
      {"store", UseStore},       {"masks", AwaitMasks},   {"leave", Leave},
      {"save", SaveCheckpoints}, {"go on", GoOn}};
  return behaviours;
}

// `<program> run --socket PATH`
int Main(int argc, char** argv) {
  const char* token = std::getenv("DROPBP_TRAINER_TOKEN");
  if (argc != 4 || token == nullptr) return 2;
  const auto link = ConnectToAgent(argv[3], token);
  if (!link.ok()) {
    std::fprintf(stderr, "%s\n", link.status().ToString().c_str());
    return 4;
  }
  return Behaviours().at((*link)->assignment().spec.labels.at("behaviour"))(**link);
}

}  // namespace
}  // namespace dropbp::trainer

int main(int argc, char** argv) { return dropbp::trainer::Main(argc, argv); }
