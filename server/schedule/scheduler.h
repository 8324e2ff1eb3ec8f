// The gang scheduler: one pure function from (queue, pool) to decisions. All ranks of a job are
// placed, or none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace dropbp::server {

enum class DeviceKind { kCpu, kCuda };

// A device slot of a connected worker.
struct PoolSlot {
  int index = 0;
  DeviceKind kind = DeviceKind::kCpu;
  bool busy = false;
};

// A worker that can be given work now.
struct PoolWorker {
  std::string worker_id;
  std::vector<std::string> models;
  std::vector<PoolSlot> slots;
  bool preparing = false;  // checks a job's data; one at a time
  bool draining = false;   // is to be left: takes nothing new
};

// A job that waits.
struct WaitingJob {
  std::string job_id;
  int64_t priority = 0;
  int64_t create_order = 0;
  std::string model;
  int ranks = 1;
  std::string device = "any";  // any | cpu | cuda
  bool prepared = false;       // its model and data are checked
};

struct RankSlot {
  std::string worker_id;
  int slot = 0;
};

struct Decision {
  enum class Kind { kPrepare, kPlace };
  Kind kind;
  std::string job_id;
  std::string worker_id;        // kPrepare: who checks
  std::vector<RankSlot> ranks;  // kPlace: by rank
};

struct Schedule {
  std::vector<Decision> decisions;
  std::vector<std::string> queue;                     // ids of jobs left waiting, in order
  std::map<std::string, std::string> pending_reason;  // why each of them waits
};

// Goes through the jobs by priority, then by creation. Workers that drain are given nothing, but
// named to jobs that wait.
// a. A job that is not prepared goes to the connected worker that has its model and checks nothing
// else; no slot is
//    taken.
// b. A prepared job takes free slots of one kind on workers that have its model, those with the
// most free slots first. c. A prepared job that the pool could hold if it were idle keeps later
// jobs off its kind of slots, so that a large
//    gang is not starved by small ones; a job that the pool can never hold keeps nobody waiting.
Schedule MakeSchedule(std::vector<WaitingJob> jobs, std::vector<PoolWorker> pool);

}  // namespace dropbp::server
