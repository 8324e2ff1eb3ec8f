// A job as people write it: a YAML file. The keys are the paths of job_fields.h, nested, and
// `name`, `dataset.file` and `dataset.validation_file`.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_fields.h"
#include "core/job/job_spec.h"

namespace dropbp {

struct JobFile {
  std::string name;             // job id; empty: the coordinator chooses
  std::string dataset_file;     // dataset.file: path of the data, relative to the job file
  std::string validation_file;  // dataset.validation_file: that of held-out samples, likewise
  JobSpec spec;
  // Lines of the fields that the file sets, by path; entries of key-value pairs have their own,
  // such as labels.team.
  std::map<std::string, int> lines;
};

// Parses YAML text. On failure INVALID_ARGUMENT lists every problem, one a line, each as
// "<source>:<line>: <field>: ..."; unknown keys suggest the nearest known one.
absl::StatusOr<JobFile> ParseJobFile(std::string_view yaml, std::string_view source);

// The text of a job file that reads back as `spec`: the fields that do not have their default, in
// the order of the table. It names data by SHA-256, so a coordinator that has these takes it as it
// is.
std::string FormatJobFile(const JobSpec& spec);

// Sets one field from text, as in --set training.steps=20. Lists are comma-separated or in brackets
// as in YAML, labels are "labels.key=value".
absl::Status SetJobField(std::string_view assignment, JobFile& job);

// A field as errors name it: "<source>:<line>: <field>", or alone where the file does not set it.
std::string PlaceOf(const JobFile& job, std::string_view source, std::string_view field);

}  // namespace dropbp
