#include "bench/method_report/resume.h"

#include "bench/method_report/models.h"

namespace dropbp::bench {
namespace {

constexpr int64_t kResumedSteps = 1000;
constexpr double kResumedTarget = 0.5;

}  // namespace

int64_t DifferentSteps(const StepRows& unbroken, const StepRows& restarted, int64_t restart,
                       int64_t steps) {
  int64_t different = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const std::vector<MaskRow> rows = unbroken(step);
    if (step >= restart && restarted(step) != rows) ++different;
  }
  return different;
}

absl::StatusOr<Section> ResumeSection() {
  Section section{
      .key = "resume",
      .heading = "Resume, LLaMA2-7B",
      .title =
          "A run of 1,000 steps at drop rate 0.5 stops and starts again at a step, with the "
          "same seed: steps from there on whose masks differ from those of the unbroken run. "
          "Generators that run on from step to step begin anew; ours are functions of the "
          "step.",
      .columns = {{"masks", "masks"},
                  {"rates", "rates"},
                  {"restart", "restart at"},
                  {"steps", "steps from there"},
                  {"different", "different"}}};
  const LayerTable table = TableOf(Llama2With7B(), "lora");
  for (const int64_t restart : {1, 400}) {
    ASSIGN_OR_RETURN(const std::vector<Way> unbroken, AllWays(table, kResumedTarget, 1));
    ASSIGN_OR_RETURN(const std::vector<Way> restarted, AllWays(table, kResumedTarget, 1));
    for (size_t way = 0; way < unbroken.size(); ++way) {
      section.rows.push_back({{"masks", unbroken[way].masks},
                              {"rates", unbroken[way].rates},
                              {"restart", restart},
                              {"steps", kResumedSteps - restart},
                              {"different", DifferentSteps(unbroken[way].rows, restarted[way].rows,
                                                           restart, kResumedSteps)}});
    }
  }
  return section;
}

}  // namespace dropbp::bench
