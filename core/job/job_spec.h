// What a job asks for, as plain values with their defaults. Ranges and meanings stand in
// job_fields.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace dropbp {

struct DatasetSpec {
  std::string artifact;                 // SHA-256 of the uploaded JSONL file
  std::string format = "auto";          // auto | messages | alpaca | prompt_completion
  int64_t max_length = 512;             // tokens
  std::string loss_on = "all_turns";    // all_turns | last_turn
  std::string overlength = "truncate";  // truncate | drop | refuse
};

struct LoraSpec {
  int64_t rank = 16;
  double alpha = 32;
  double dropout = 0;
  std::vector<std::string> target_modules = {"all-linear"};
};

struct TrainingSpec {
  int64_t steps = 0;  // optimizer steps; 0: from epochs
  double epochs = 1;
  int64_t global_batch_size = 16;  // sequences in one optimizer step
  int64_t micro_batch_size = 4;    // sequences in one forward pass of one rank
  double learning_rate = 2e-4;
  std::string schedule = "cosine";  // cosine | linear | constant
  double warmup_ratio = 0.03;
  double weight_decay = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double max_grad_norm = 1;  // 0: no clipping
  int64_t seed = 0;
};

struct DropbpSpec {
  double drop_rate = 0.5;                // target share of backward FLOPs dropped
  std::string allocation = "quadratic";  // uniform | quadratic | linear | neyman
  std::string masks = "auto";            // auto | shared | balanced | single
  int64_t mask_groups = 0;               // groups of sequences in a micro-batch; 0: automatic
  std::string estimator = "paper";       // paper | own | unbiased
  std::string dropped_update = "skip";   // skip | advance
  std::string schedule = "constant";     // constant | ramp | anneal
  double schedule_share = 0.2;           // share of all steps that ramp or anneal takes
  double probe_at = 0.1;                 // share of all steps
  int64_t probe_every = 0;               // steps between later probes; 0: only one probe
  int64_t probe_samples = 1;
  double max_unit_rate = 0;  // 0: max(0.95, (1 + target) / 2), target: of the plan's stage
};

struct ResourcesSpec {
  int64_t ranks = 1;
  std::string device = "any";  // any | cpu | cuda
};

struct CheckpointSpec {
  int64_t every_steps = 0;    // optimizer steps between checkpoints; 0: by time
  double every_minutes = 10;  // where every_steps is 0; 0: only when the job is paused or moved
  int64_t keep = 2;           // newest complete checkpoints that are kept
};

struct JobSpec {
  std::string model;
  std::string method = "lora";  // lora | full
  std::string dtype = "auto";   // auto | fp32 | bf16
  DatasetSpec dataset;
  LoraSpec lora;
  TrainingSpec training;
  DropbpSpec dropbp;
  CheckpointSpec checkpoint;
  ResourcesSpec resources;
  int64_t max_restarts = 5;
  int64_t priority = 0;
  std::map<std::string, std::string> labels;
};

// Mask mode after `auto` is resolved: "balanced" for lora, "shared" for full.
std::string ResolvedMasks(const JobSpec& spec);

// Micro-batches of one optimizer step over all ranks: global_batch_size / micro_batch_size.
int64_t MicroBatchesPerStep(const JobSpec& spec);

// The most optimizer steps of one job.
inline constexpr int64_t kMostSteps = 10'000'000;

// Optimizer steps of the job on `samples` samples: training.steps, or ceil(epochs * samples /
// global_batch_size), at most kMostSteps.
int64_t TotalSteps(const JobSpec& spec, int64_t samples);

// Step before which the first sensitivity probe runs: floor(probe_at * total); -1 if the job has
// none (drop rate 0 or uniform allocation).
int64_t ProbeStep(const JobSpec& spec, int64_t total_steps);

}  // namespace dropbp
