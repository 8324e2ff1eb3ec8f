#include "client/job_options.h"

namespace dropbp::client {

CLI::Option* AddJobOptions(CLI::App& command, JobArguments& arguments) {
  CLI::Option* file =
      command.add_option("-f,--file", arguments.file, "Job file (YAML); see docs/job-file.md")
          ->required();
  command.add_option("--dataset", arguments.dataset,
                     "Data file; overrides dataset.file of the job file");
  command.add_option("--validation-dataset", arguments.validation,
                     "File of held-out samples; overrides dataset.validation_file");
  command
      .add_option("--set", arguments.sets,
                  "FIELD=VALUE that overrides the job file; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  return file;
}

}  // namespace dropbp::client
