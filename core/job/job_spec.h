// What a job asks for, as plain values with their defaults. Ranges and meanings stand in
// job_fields.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dropbp {

struct DatasetSpec {
  std::string artifact;              // SHA-256 of the uploaded file
  std::string file_type = "detect";  // detect | jsonl | json | csv
  // auto | messages | conversations | alpaca | prompt_completion | text
  std::string format = "auto";
  std::map<std::string, std::string> fields;  // what a record calls its fields, where not as usual
  int64_t max_length = 512;                   // tokens
  std::string loss_on = "all_turns";          // all_turns | last_turn | all_tokens
  std::string duplicates = "keep";            // keep | remove
  std::string overlength = "truncate";        // truncate | drop | refuse
  bool packing = false;             // several samples share a row, without seeing each other
  std::string validation_artifact;  // SHA-256 of a file of held-out samples
  double validation_share = 0;      // of the samples that is held out, where there is no such file
  std::map<std::string, double> mix;  // more files by SHA-256, and how often their samples come
};

// Numbers for modules by (a regular expression of) the end of their path. See LoraTargets.
using ModulePattern = std::map<std::string, double>;

struct LoraSpec {
  int64_t rank = 16;
  double alpha = 32;
  double dropout = 0;
  std::vector<std::string> target_modules = {"all-linear"};
  bool use_rslora = false;  // scaling alpha / sqrt(rank) instead of alpha / rank
  ModulePattern rank_pattern = {};
  ModulePattern alpha_pattern = {};
  double loraplus_lr_ratio = 1;                   // learning rate of B over that of A
  std::vector<std::string> modules_to_save = {};  // embed_tokens | lm_head: trained whole
  bool use_dora = false;  // a learned norm of each row of the adapted weight
};

// 4-bit base weights of method qlora.
struct QloraSpec {
  int64_t block_size = 64;   // elements with a common scale
  bool double_quant = true;  // scales in 8 bits
};

// (IA)^3: learned factors on activations.
struct Ia3Spec {
  std::vector<std::string> target_modules = {"k_proj", "v_proj", "down_proj"};
  std::vector<std::string> feedforward_modules = {
      "down_proj"};  // those of them whose inputs are scaled
};

struct PromptTuningSpec {
  int64_t num_virtual_tokens = 20;
  std::string init = "random";  // random | sample_vocab
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
  bool activation_checkpointing = false;  // kept units keep only their inputs
  bool group_by_length = false;           // sequences of a step are of similar lengths
};

// Evaluation while training.
struct EvaluationSpec {
  int64_t every_steps = 0;           // optimizer steps between evaluations; 0: a tenth of the job
  int64_t max_samples = 0;           // of the held-out ones, the first; 0: all
  std::vector<std::string> prompts;  // that the model answers
  int64_t max_new_tokens = 64;
  int64_t patience = 0;         // evaluations without a smaller loss that end the job; 0: none do
  std::string result = "last";  // last | best
};

struct DropbpSpec {
  double drop_rate = 0.5;                   // target share of backward FLOPs dropped
  std::string allocation = "depth";         // depth | uniform | quadratic | linear | neyman
  std::string masks = "auto";               // auto | shared | balanced | single
  int64_t mask_groups = 0;                  // groups of sequences in a micro-batch; 0: automatic
  std::string estimator = "by_allocation";  // by_allocation | paper | own | unbiased
  std::string dropped_update = "skip";      // skip | advance
  std::string schedule = "constant";        // constant | ramp | anneal
  double schedule_share = 0.2;              // share of all steps that ramp or anneal takes
  double probe_at = 0.1;                    // share of all steps
  int64_t probe_every = 0;                  // steps between later probes; 0: only one probe
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
  std::string method = "lora";  // lora | qlora | ia3 | prompt_tuning | full
  std::string dtype = "auto";   // auto | fp32 | bf16
  DatasetSpec dataset;
  LoraSpec lora;
  QloraSpec qlora;
  Ia3Spec ia3;
  PromptTuningSpec prompt_tuning;
  TrainingSpec training;
  EvaluationSpec evaluation;
  DropbpSpec dropbp;
  CheckpointSpec checkpoint;
  ResourcesSpec resources;
  int64_t max_restarts = 5;
  int64_t priority = 0;
  std::map<std::string, std::string> labels;
  std::string init_from;  // what training begins from; core/job/init_from.h
};

// Whether a method trains low-rank adapters: lora, and qlora on 4-bit base weights.
bool TrainsLora(std::string_view method);

// Mask mode after `auto` is resolved: "shared" for full, else "balanced".
std::string ResolvedMasks(const JobSpec& spec);

// Estimator after `by_allocation` is resolved: "own" for depth, "paper" for every other allocation.
std::string ResolvedEstimator(const JobSpec& spec);

// Whether drop rates follow from measured sensitivities: something is dropped, and the allocation
// is quadratic, linear or neyman.
bool NeedsSensitivities(const JobSpec& spec);

// Micro-batches of one optimizer step over all ranks: global_batch_size / micro_batch_size.
int64_t MicroBatchesPerStep(const JobSpec& spec);

// The most optimizer steps of one job.
inline constexpr int64_t kMostSteps = 10'000'000;

// Optimizer steps of the job on `samples` samples: training.steps, or ceil(epochs * samples /
// global_batch_size), at most kMostSteps.
int64_t TotalSteps(const JobSpec& spec, int64_t samples);

// Step before which the first sensitivity probe runs: floor(probe_at * total); -1 if the job has
// none (see NeedsSensitivities).
int64_t ProbeStep(const JobSpec& spec, int64_t total_steps);

}  // namespace dropbp
