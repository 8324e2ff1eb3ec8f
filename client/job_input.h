// From what a person typed to a job that can be sent: file, --set, --name, --dataset,
// --validation-dataset.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_file.h"
#include "dropbp/v1/jobs.pb.h"
#include "dropbp/v1/jobs_service.pb.h"

namespace dropbp::client {

struct JobArguments {
  std::string file;               // -f
  std::string dataset;            // --dataset; relative to the current folder
  std::string validation;         // --validation-dataset; likewise
  std::vector<std::string> sets;  // --set
  std::string name;               // --name
  bool dataset_needed = true;     // false: a missing data set is no error
};

struct JobInput {
  JobFile job;                  // artifacts filled in
  std::string dataset_path;     // local file to upload; empty if the job names an artifact that was
                                // uploaded before
  v1::Artifact dataset;         // name, hash and size of that file
  std::string validation_path;  // the same for held-out samples; empty if there is none to upload
  v1::Artifact validation;
  std::vector<std::pair<std::string, v1::Artifact>> mix;  // the same of files of dataset.mix
  // How all these files were typed, by their SHA-256, which is all that a job knows them by.
  std::map<std::string, std::string> file_names;
};

// Reads and checks everything that can be checked without a coordinator. Paths in the file are
// relative to its folder. INVALID_ARGUMENT lists every problem; NOT_FOUND names the file that is
// missing.
absl::StatusOr<JobInput> LoadJob(const JobArguments& arguments);

// The request that creates the job.
v1::CreateJobRequest MakeCreateRequest(const JobInput& input);

}  // namespace dropbp::client
