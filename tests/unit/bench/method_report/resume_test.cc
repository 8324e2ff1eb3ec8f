#include "bench/method_report/resume.h"

#include <gtest/gtest.h>

namespace dropbp::bench {
namespace {

// The rows of a process that counts its own draws.
StepRows Running() {
  return [draws = 0](int64_t) mutable {
    ++draws;
    return std::vector<MaskRow>{{draws % 2 == 0, true}};
  };
}

StepRows OfTheStep() {
  return [](int64_t step) { return std::vector<MaskRow>{{step % 2 == 0, true}}; };
}

TEST(DifferentStepsTest, AreThoseOfAGeneratorThatBeginsAnew) {
  EXPECT_EQ(DifferentSteps(Running(), Running(), /*restart=*/3, /*steps=*/10), 7);
  EXPECT_EQ(DifferentSteps(Running(), Running(), 4, 10), 0) << "by chance the same";
  EXPECT_EQ(DifferentSteps(OfTheStep(), OfTheStep(), 3, 10), 0);
}

TEST(ResumeSectionTest, OnlyOursGoOnWithTheSameMasks) {
  const Section section = *ResumeSection();
  ASSERT_EQ(section.rows.size(), 12u);
  for (const auto& row : section.rows) {
    if (row["masks"] == "ours") {
      EXPECT_EQ(row["different"], 0) << row["rates"];
    } else {
      EXPECT_GT(row["different"], 0.99 * row["steps"].get<double>()) << row["masks"];
    }
  }
}

}  // namespace
}  // namespace dropbp::bench
