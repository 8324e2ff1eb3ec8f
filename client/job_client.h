// A client of one coordinator: the calls that a person or a program needs, with retries. All calls
// are idempotent, so all are tried again while the coordinator is away; a stop request ends every
// call with CANCELLED.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "client/channel.h"
#include "client/interrupt.h"
#include "client/log_cursor.h"
#include "client/retry.h"
#include "core/base/status.h"
#include "dropbp/v1/artifacts.grpc.pb.h"
#include "dropbp/v1/cluster_service.grpc.pb.h"
#include "dropbp/v1/jobs_service.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace dropbp::client {

struct JobClientSettings {
  CoordinatorEndpoint coordinator;
  RetryPolicy retry;  // of one call
  // Of an open stream that was cut: a coordinator that is restarted must not end a watch.
  RetryPolicy resume = {.give_up_after = absl::Seconds(120)};
  absl::Duration call_timeout = absl::Seconds(10);  // of one attempt of one unary call
  std::function<void(const std::string&)> talk = [](const std::string&) {
  };  // words for the person who waits
};

// Thread-safe, apart from the callbacks, which run in the calling thread.
class JobClient {
 public:
  using OnEvent = std::function<void(const v1::JobEvent&)>;
  using OnLog = std::function<void(const v1::ReadJobLogsResponse&)>;
  using OnBytes = std::function<void(int64_t done, int64_t total)>;

  // Fails as OpenChannel does. Nothing is sent yet.
  static absl::StatusOr<std::unique_ptr<JobClient>> Open(JobClientSettings settings,
                                                         StopToken& stop);

  // Asks once, for no longer than `timeout`: a probe tries again by itself. SERVING, or UNAVAILABLE
  // without an answer or if the coordinator is stopping.
  absl::StatusOr<grpc::health::v1::HealthCheckResponse> CheckHealth(absl::Duration timeout);

  // With an empty request_id a random one is sent, so that a retry cannot create a second job.
  absl::StatusOr<v1::Job> CreateJob(v1::CreateJobRequest request);
  absl::StatusOr<v1::PlanJobResponse> PlanJob(const v1::PlanJobRequest& request);
  absl::StatusOr<v1::Job> GetJob(const std::string& job_id);
  // One page.
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request);
  absl::StatusOr<v1::Job> CancelJob(const std::string& job_id);
  // NOT_FOUND may also mean that an earlier try, whose answer was lost, carried it out.
  absl::StatusOr<v1::Job> DeleteJob(const std::string& job_id);
  absl::StatusOr<v1::Job> PauseJob(const std::string& job_id);
  absl::StatusOr<v1::Job> ResumeJob(const std::string& job_id);
  absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(const std::string& job_id);
  absl::StatusOr<v1::ListWorkersResponse> ListWorkers();
  absl::StatusOr<v1::Worker> DrainWorker(const v1::DrainWorkerRequest& request);

  // Passes on the job's events from the first after `after_sequence` to its end, then returns the
  // ended job. A cut stream is resumed after the last event that was seen; no event and no step of
  // an attempt is passed on twice. DEADLINE_EXCEEDED when `deadline` is over before the job is.
  absl::StatusOr<v1::Job> WatchToEnd(const std::string& job_id, int64_t after_sequence,
                                     absl::Time deadline, const OnEvent& on_event);

  // Passes on what the trainers wrote beyond `cursor`, and advances it; with request.follow until
  // the job ends. A cut stream is read again from its beginning. request.tail_lines must be 0 when
  // following.
  absl::Status ReadLogs(const v1::ReadJobLogsRequest& request, LogCursor& cursor,
                        const OnLog& on_log);

  // Stores a local file under its SHA-256; cheap if the coordinator has it. FAILED_PRECONDITION if
  // the file changes while it is sent.
  absl::StatusOr<v1::Artifact> Upload(const std::string& path, const v1::Artifact& header,
                                      const OnBytes& on_bytes);

  // Writes an artifact to `path`, which appears only when its size and SHA-256 are right; else
  // DATA_LOSS.
  absl::Status Download(const v1::Artifact& artifact, const std::string& path,
                        const OnBytes& on_bytes);

  const std::string& address() const { return settings_.coordinator.address; }

 private:
  JobClient(JobClientSettings settings, StopToken& stop,
            const std::shared_ptr<grpc::Channel>& channel);

  absl::Status Call(const std::function<grpc::Status(grpc::ClientContext&)>& rpc,
                    absl::Duration timeout);
  absl::Status Retry(const RetryPolicy& policy, absl::Time deadline,
                     const std::function<absl::Status()>& call);
  // A unary method of a stub, with retries.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> CallUnary(Stub& stub,
                                     grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                  const Request&, Response*),
                                     const Request& request);
  absl::Status ToStatus(const grpc::Status& status) const;

  absl::Status WatchOnce(const v1::WatchJobRequest& request, absl::Time deadline,
                         const OnEvent& on_event);
  absl::Status ReadLogsOnce(const v1::ReadJobLogsRequest& request, const OnLog& on_log);
  absl::Status UploadOnce(const std::string& path, const v1::Artifact& header,
                          const OnBytes& on_bytes, v1::Artifact& stored);
  absl::Status DownloadOnce(const v1::Artifact& artifact, const std::string& part_path,
                            const OnBytes& on_bytes);

  const JobClientSettings settings_;
  StopToken& stop_;
  const std::unique_ptr<v1::JobService::Stub> jobs_;
  const std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  const std::unique_ptr<v1::ClusterService::Stub> cluster_;
  const std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

// Whether a job in this state has ended.
bool IsFinal(v1::Job::State state);

}  // namespace dropbp::client
