// Coordinator: what users ask for.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/job/job_fields.h"
#include "proto/support/grpc_status.h"
#include "proto/support/job_spec_proto.h"
#include "server/run/coordinator.h"
#include "server/run/job_memory.h"
#include "server/run/proto_time.h"

namespace dropbp::server {
namespace {

constexpr size_t kMaxRequestId = 128;
constexpr size_t kMaxFileName = 4096;

std::string RandomJobId() {
  std::random_device random;
  return absl::StrFormat("job-%08x", random());
}

// Equal for equal requests, whatever order their map fields came in.
std::string ContentHash(v1::CreateJobRequest request) {
  request.clear_request_id();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&coded);
  }
  return Sha256Hex(bytes);
}

bool IsDataFile(const std::string& sha256, const DatasetSpec& data) {
  return !sha256.empty() && (sha256 == data.artifact || sha256 == data.validation_artifact ||
                             data.mix.contains(sha256));
}

void CheckFileNames(const v1::CreateJobRequest& request, const JobSpec& spec,
                    std::vector<FieldViolation>& out) {
  for (const auto& [sha256, name] : request.file_names()) {
    if (!IsDataFile(sha256, spec.dataset)) {
      out.push_back({"file_names", absl::StrCat("found key '", Excerpt(sha256),
                                                "', legal is the SHA-256 of a file of the data")});
    }
    // It is shown on terminals.
    if (name.empty() || name.size() > kMaxFileName ||
        std::any_of(name.begin(), name.end(), absl::ascii_iscntrl)) {
      out.push_back(
          {"file_names", absl::StrCat("found name '", Excerpt(name), "', legal is 1 to ",
                                      kMaxFileName, " bytes without control characters")});
    }
  }
}

std::vector<FieldViolation> ViolationsOf(const v1::CreateJobRequest& request, const JobSpec& spec) {
  std::vector<FieldViolation> violations;
  if (!request.job_id().empty() && !IsLegalJobId(request.job_id())) {
    violations.push_back({"job_id", absl::StrCat("found '", request.job_id(),
                                                 "', legal is ^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")});
  }
  if (request.request_id().size() > kMaxRequestId) {
    violations.push_back({"request_id", absl::StrCat("found ", request.request_id().size(),
                                                     " bytes, legal are at most ", kMaxRequestId)});
  }
  std::vector<FieldViolation> broken = ValidateJobSpec(spec);
  violations.insert(violations.end(), broken.begin(), broken.end());
  CheckFileNames(request, spec, violations);
  return violations;
}

// Whoever looks at one job is told with its state what its history says as well.
void AddMemoryWarning(const LiveRun& live, const Workers& workers, v1::Job& job) {
  if (!live.run.shape) return;
  const absl::StatusOr<MemoryCheck> memory = CheckMemory(
      live.run.spec, *live.run.shape, job.dataset_report(), job.progress().total_steps(), workers);
  if (!memory.ok() || memory->warning.empty()) return;
  std::string message = job.state_message();
  if (!message.empty()) absl::StrAppend(&message, message.back() == '.' ? " " : ". ");
  job.set_state_message(absl::StrCat(message, memory->warning));
}

}  // namespace

absl::Status Coordinator::CheckUploaded(std::string_view field, const std::string& sha256) const {
  if (artifacts_.Has(sha256)) return absl::OkStatus();
  const FieldViolation violation{
      std::string(field),
      absl::StrCat("found '", sha256, "', legal is the SHA-256 of a file that was uploaded")};
  const absl::Status invalid = InvalidFields({&violation, 1});
  // The request is well formed: what is missing is the upload before it.
  absl::Status status = absl::FailedPreconditionError(invalid.message());
  invalid.ForEachPayload([&status](absl::string_view url, const absl::Cord& detail) {
    status.SetPayload(url, detail);
  });
  return WithReason(std::move(status), "DATASET_NOT_FOUND");
}

absl::StatusOr<v1::Job> Coordinator::CreateJob(const v1::CreateJobRequest& request) {
  JobSpec spec = JobSpecFromProto(request.spec());
  if (const auto violations = ViolationsOf(request, spec); !violations.empty()) {
    return InvalidFields(violations);
  }
  NewJob created{
      .job = {}, .request_id = request.request_id(), .content_hash = ContentHash(request)};
  created.job.set_job_id(request.job_id().empty() ? RandomJobId() : request.job_id());
  created.job.set_state(v1::Job::QUEUED);
  *created.job.mutable_create_time() = ToProto(clock_.Now());
  *created.job.mutable_file_names() = request.file_names();

  absl::MutexLock lock(&mutex_);
  if (request.validate_only()) {
    RETURN_IF_ERROR(ResolveInit(spec).status());
    *created.job.mutable_spec() = JobSpecToProto(spec);
    created.job.set_state_message(DryRunWarning(spec));
    return created.job;
  }
  if (!created.request_id.empty()) {
    absl::StatusOr<v1::Job> answer = store_->FindAnswer(created.request_id, created.content_hash);
    if (!absl::IsNotFound(answer.status())) return answer;
  }
  ASSIGN_OR_RETURN(created.init_checkpoint, ResolveInit(spec));
  *created.job.mutable_spec() = JobSpecToProto(spec);
  RETURN_IF_ERROR(CheckUploaded("dataset.artifact", spec.dataset.artifact));
  if (const std::string& held_out = spec.dataset.validation_artifact; !held_out.empty())
    RETURN_IF_ERROR(CheckUploaded("dataset.validation_artifact", held_out));
  for (const auto& [sha256, weight] : spec.dataset.mix)
    RETURN_IF_ERROR(CheckUploaded("dataset.mix", sha256));
  ASSIGN_OR_RETURN(const v1::Job job, store_->Create(created));
  LiveRun& live = runs_[job.job_id()];
  live.create_order = store_->newest_order();
  live.run.job = job;
  live.run.spec = spec;
  RunSchedule();
  return job;
}

v1::Job Coordinator::Decorated(const LiveRun& live) const {
  v1::Job job = live.run.job;
  if (!live.pending_reason.empty() && live.run.ranks.empty() &&
      (job.state() == v1::Job::QUEUED || job.state() == v1::Job::RESTARTING)) {
    job.set_state_message(live.pending_reason);
  }
  if (job.state() != v1::Job::RUNNING) job.mutable_progress()->clear_eta();
  if (job.state() == v1::Job::QUEUED) job.set_queue_position(live.queue_position);
  return job;
}

absl::StatusOr<v1::Job> Coordinator::GetJob(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  const LiveRun* live = FindRun(job_id);
  if (live == nullptr) return store_->Get(job_id);
  v1::Job job = Decorated(*live);
  AddMemoryWarning(*live, workers_.all(), job);
  return job;
}

absl::StatusOr<JobPage> Coordinator::ListJobs(const JobQuery& query) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(JobPage page, store_->List(query));
  for (v1::Job& job : page.jobs) {
    if (const LiveRun* live = FindRun(job.job_id())) job = Decorated(*live);
    // A page of jobs has room for no texts.
    if (job.progress().has_evaluation()) {
      job.mutable_progress()->mutable_evaluation()->clear_samples();
    }
  }
  return page;
}

absl::StatusOr<v1::Job> Coordinator::CancelJob(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  LiveRun* live = FindRun(job_id);
  if (live == nullptr) {
    ASSIGN_OR_RETURN(const v1::Job job, store_->Get(job_id));
    if (job.state() == v1::Job::CANCELLED) return job;
    return WithReason(
        absl::FailedPreconditionError(
            absl::StrCat("job '", job_id, "' has ended: it is ", v1::Job::State_Name(job.state()))),
        "JOB_ENDED");
  }
  RETURN_IF_ERROR(Apply(*live, CancelRequested{}));
  const v1::Job job = Decorated(*live);
  RunSchedule();
  return job;
}

absl::Status Coordinator::Watch(const std::string& job_id, int64_t after_sequence,
                                std::shared_ptr<JobWatcher> watcher) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(store_->Get(job_id).status());
  ASSIGN_OR_RETURN(const std::vector<v1::JobEvent> events,
                   store_->EventsAfter(job_id, after_sequence));
  for (const v1::JobEvent& event : events) watcher->OnEvent(event);
  if (LiveRun* live = FindRun(job_id)) {
    live->watchers.push_back(std::move(watcher));
  } else {
    watcher->OnEnd(absl::OkStatus());
  }
  return absl::OkStatus();
}

void Coordinator::Unwatch(const std::string& job_id, const JobWatcher* watcher) {
  absl::MutexLock lock(&mutex_);
  LiveRun* live = FindRun(job_id);
  if (live == nullptr) return;
  auto& watchers = live->watchers;
  watchers.erase(std::remove_if(watchers.begin(), watchers.end(),
                                [watcher](const auto& one) { return one.get() == watcher; }),
                 watchers.end());
}

std::vector<v1::Worker> Coordinator::ListWorkers() {
  absl::MutexLock lock(&mutex_);
  return workers_.Describe();
}

bool Coordinator::HasEnded(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  return FindRun(job_id) == nullptr;
}

}  // namespace dropbp::server
