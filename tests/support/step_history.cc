#include "tests/support/step_history.h"

#include <filesystem>
#include <regex>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/store/database.h"

namespace dropbp::testing {

namespace {

// A running coordinator has locked its store; a copy of the file and its log says the same once the
// job has ended.
absl::StatusOr<std::string> CopyStore(const std::filesystem::path& data_dir) {
  const std::filesystem::path copy = data_dir / "copy";
  std::error_code error;
  std::filesystem::create_directories(copy, error);
  for (const char* name : {"jobs.db", "jobs.db-wal"}) {
    if (!std::filesystem::exists(data_dir / name)) continue;
    std::filesystem::copy_file(data_dir / name, copy / name,
                               std::filesystem::copy_options::overwrite_existing, error);
    if (error) return absl::UnavailableError(absl::StrCat(name, ": ", error.message()));
  }
  return (copy / "jobs.db").string();
}

// `found`: step numbers from 0.
::testing::AssertionResult AreCounted(const std::vector<int64_t>& found, int64_t steps) {
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] != static_cast<int64_t>(i))
      return ::testing::AssertionFailure()
             << "entry " << i + 1 << " tells of step " << found[i] + 1;
  }
  if (static_cast<int64_t>(found.size()) == steps) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << found.size() << " entries for " << steps << " steps";
}

}  // namespace

absl::StatusOr<std::vector<v1::StepReport>> ReadStepHistory(const std::string& data_dir,
                                                            const std::string& job_id) {
  ASSIGN_OR_RETURN(const std::string store, CopyStore(data_dir));
  ASSIGN_OR_RETURN(auto db, server::Database::Open(store));
  server::Rows rows = db->Query("SELECT report FROM step_history WHERE job_id = ? ORDER BY step",
                                {std::string_view(job_id)});
  std::vector<v1::StepReport> steps;
  while (rows.Next()) {
    if (!steps.emplace_back().ParseFromString(rows.Bytes(0)))
      return absl::DataLossError("step_history: not a StepReport");
  }
  RETURN_IF_ERROR(rows.status());
  return steps;
}

std::vector<StepLine> ParseStepLines(const std::string& log) {
  static const std::regex pattern(
      R"( step (\d+)/\d+ .*dropped ([0-9.]+) sent (\d+) of (\d+) B(?: masks ([0-9a-f]+))?)");
  std::vector<StepLine> lines;
  for (const auto& part : absl::StrSplit(log, '\n')) {
    const std::string line(part);
    std::smatch found;
    if (!std::regex_search(line, found, pattern)) continue;
    StepLine step{.masks = found[5].str()};
    const bool numbers = absl::SimpleAtoi(found[1].str(), &step.step) &&
                         absl::SimpleAtod(found[2].str(), &step.dropped) &&
                         absl::SimpleAtoi(found[3].str(), &step.bytes_sent) &&
                         absl::SimpleAtoi(found[4].str(), &step.bytes_dense);
    if (numbers) lines.push_back(std::move(step));
  }
  return lines;
}

::testing::AssertionResult EachStepOnce(const std::vector<StepLine>& lines, int64_t steps) {
  std::vector<int64_t> found;
  for (const StepLine& line : lines) found.push_back(line.step - 1);
  return AreCounted(found, steps);
}

::testing::AssertionResult EachStepOnce(const std::vector<v1::StepReport>& reports, int64_t steps) {
  std::vector<int64_t> found;
  for (const v1::StepReport& report : reports) found.push_back(report.step());
  return AreCounted(found, steps);
}

}  // namespace dropbp::testing
