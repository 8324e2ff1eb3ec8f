#include "core/job/job_fields.h"

namespace dropbp {
namespace {

#define FIELD(type, member) \
  JobField::Accessor(static_cast<type& (*)(JobSpec&)>([](JobSpec& s) -> type& { return s.member; }))
#define TEXT(member) FIELD(std::string, member)
#define WHOLE(member) FIELD(int64_t, member)
#define REAL(member) FIELD(double, member)
#define FLAG(member) FIELD(bool, member)
#define NUMBERS(member) FIELD(ModulePattern, member)
#define WORDS(member) FIELD(std::vector<std::string>, member)
#define PAIRS(member) FIELD(StringMap, member)

using StringMap = std::map<std::string, std::string>;

constexpr double kAnyLow = -std::numeric_limits<double>::infinity();
constexpr double kAnyHigh = std::numeric_limits<double>::infinity();

JobField Choice(std::string_view path, JobField::Accessor access,
                std::vector<std::string_view> words, std::string_view meaning) {
  return {path, access, meaning, kAnyLow, kAnyHigh, false, std::move(words)};
}

JobField Free(std::string_view path, JobField::Accessor access, std::string_view meaning) {
  return {path, access, meaning};
}

JobField Range(std::string_view path, JobField::Accessor access, double min, double max,
               std::string_view meaning) {
  return {path, access, meaning, min, max};
}

JobField RangeBelow(std::string_view path, JobField::Accessor access, double min, double max,
                    std::string_view meaning) {
  return {path, access, meaning, min, max, true};
}

void AddJob(std::vector<JobField>& fields) {
  fields.insert(
      fields.end(),
      {Free("model", TEXT(model), "Name of a model folder under the workers' models directory."),
       Choice("method", TEXT(method), {"lora", "qlora", "ia3", "prompt_tuning", "full"},
              "What is trained: low-rank adapters on frozen base weights (lora), the same on base "
              "weights in 4 bits (qlora), factors on activations (ia3), virtual tokens "
              "(prompt_tuning), or every weight (full)."),
       Choice("dtype", TEXT(dtype), {"auto", "fp32", "bf16"},
              "Number format of base weights and activations; auto: bf16 where it is native, else "
              "fp32."),
       Range("max_restarts", WHOLE(max_restarts), 0, 1000,
             "How often crashed trainers are restarted before the job fails."),
       Range("priority", WHOLE(priority), -1000, 1000,
             "Higher is scheduled first; equal priorities run in order of creation."),
       Free("labels", PAIRS(labels), "Free key-value pairs for finding jobs again, at most 32."),
       Free("init_from", TEXT(init_from),
            "What training begins from: JOB, the result of an earlier job with the same method, or "
            "one "
            "of its checkpoints: JOB@STEP, JOB@best or JOB@latest.")});
}

void AddDataset(std::vector<JobField>& fields) {
  fields.insert(
      fields.end(),
      {Free("dataset.artifact", TEXT(dataset.artifact),
            "SHA-256 of the uploaded file; the client fills it in from dataset.file."),
       Choice("dataset.file_type", TEXT(dataset.file_type), {"detect", "jsonl", "json", "csv"},
              "What kind of file it is: a record a line, one list of records, or CSV; detect: "
              "csv where the file's name ends so, else by its first character. Parquet is known by "
              "itself, whatever this says."),
       Choice("dataset.format", TEXT(dataset.format),
              {"auto", "messages", "conversations", "alpaca", "prompt_completion", "text"},
              "How a record becomes what the model learns; auto: by the keys of the first record."),
       Free("dataset.fields", PAIRS(dataset.fields),
            "What the data calls the keys of its format, where it has other names for them, for "
            "example prompt: question."),
       Range("dataset.max_length", WHOLE(dataset.max_length), 8, 1048576,
             "Longest sample in tokens; also the sequence length of the cost model."),
       Choice("dataset.loss_on", TEXT(dataset.loss_on), {"all_turns", "last_turn", "all_tokens"},
              "What is supervised: every answer, the last one, or everything; in each case less "
              "what the data marks."),
       Choice("dataset.duplicates", TEXT(dataset.duplicates), {"keep", "remove"},
              "What happens to a sample with the same tokens and the same loss as an earlier one."),
       Choice("dataset.overlength", TEXT(dataset.overlength), {"truncate", "drop", "refuse"},
              "What happens to samples longer than max_length."),
       Free("dataset.packing", FLAG(dataset.packing),
            "Whether several samples share a row of max_length tokens, without seeing each other; "
            "batch sizes then count rows."),
       Free("dataset.mix", NUMBERS(dataset.mix),
            "More uploaded files by their SHA-256, and how often each of their samples comes in "
            "one pass over the data; the client fills it in from names of files."),
       Free("dataset.validation_artifact", TEXT(dataset.validation_artifact),
            "SHA-256 of an uploaded file of held-out samples; the client fills it in from "
            "dataset.validation_file."),
       RangeBelow("dataset.validation_share", REAL(dataset.validation_share), 0, 1,
                  "Share of the samples that is held out for evaluation, where there is no "
                  "validation file.")});
}

void AddLora(std::vector<JobField>& fields) {
  fields.insert(fields.end(),
                {Range("lora.rank", WHOLE(lora.rank), 1, 1024, "Rank r of the adapters."),
                 Range("lora.alpha", REAL(lora.alpha), 0, 65536,
                       "Numerator of the adapters' scaling alpha / r."),
                 RangeBelow("lora.dropout", REAL(lora.dropout), 0, 1,
                            "Dropout probability on the adapters' input."),
                 Choice("lora.target_modules", WORDS(lora.target_modules),
                        {"all-linear", "q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj",
                         "gate_proj", "up_proj", "gate_up_proj", "down_proj"},
                        "Modules that get an adapter, of those that the model has; all-linear "
                        "stands alone for all of them.")});
}

void AddLoraVariants(std::vector<JobField>& fields) {
  fields.insert(
      fields.end(),
      {Free("lora.use_rslora", FLAG(lora.use_rslora),
            "Scaling alpha / sqrt(r) in place of alpha / r."),
       Free("lora.use_dora", FLAG(lora.use_dora),
            "DoRA: a learned norm for each row of the adapted weight; without dropout."),
       Free("lora.rank_pattern", NUMBERS(lora.rank_pattern),
            "Ranks of some modules, 1 to 1024 each, by a regular expression for the end of their "
            "path."),
       Free("lora.alpha_pattern", NUMBERS(lora.alpha_pattern),
            "Alphas of some modules, 0 to 65536 each, likewise."),
       Range("lora.loraplus_lr_ratio", REAL(lora.loraplus_lr_ratio), 0.001, 1000,
             "LoRA+: learning rate of B over that of A."),
       Choice("lora.modules_to_save", WORDS(lora.modules_to_save), {"embed_tokens", "lm_head"},
              "Modules that are trained whole beside the adapters.")});
}

void AddOtherMethods(std::vector<JobField>& fields) {
  const std::vector<std::string_view> modules = {"q_proj",   "k_proj",       "v_proj",
                                                 "qkv_proj", "o_proj",       "gate_proj",
                                                 "up_proj",  "gate_up_proj", "down_proj"};
  fields.insert(
      fields.end(),
      {Range("qlora.block_size", WHOLE(qlora.block_size), 32, 4096,
             "Elements of a 4-bit weight with a common scale; a power of two."),
       Free("qlora.double_quant", FLAG(qlora.double_quant),
            "Whether these scales are in 8 bits themselves."),
       Choice("ia3.target_modules", WORDS(ia3.target_modules), modules,
              "Modules whose outputs, or inputs, get a learned factor."),
       Choice("ia3.feedforward_modules", WORDS(ia3.feedforward_modules), {"o_proj", "down_proj"},
              "Which of them have their inputs scaled, if they are targets."),
       Range("prompt_tuning.num_virtual_tokens", WHOLE(prompt_tuning.num_virtual_tokens), 1, 4096,
             "Learned tokens before each sequence, on top of dataset.max_length."),
       Choice("prompt_tuning.init", TEXT(prompt_tuning.init), {"random", "sample_vocab"},
              "What they begin as: normal random vectors, or embeddings of random tokens.")});
}

void AddTrainingLength(std::vector<JobField>& fields) {
  fields.insert(fields.end(),
                {Range("training.steps", WHOLE(training.steps), 0, 10'000'000,
                       "Optimizer steps; 0: as many as the epochs need."),
                 Range("training.epochs", REAL(training.epochs), 0, 10'000,
                       "Passes over the data when steps is 0."),
                 Range("training.global_batch_size", WHOLE(training.global_batch_size), 1, 65536,
                       "Sequences in one optimizer step, over all ranks and micro-steps."),
                 Range("training.micro_batch_size", WHOLE(training.micro_batch_size), 1, 4096,
                       "Sequences that one rank runs through the model at once."),
                 Free("training.group_by_length", FLAG(training.group_by_length),
                      "Whether the sequences of a step are of similar lengths: less padding."),
                 Free("training.activation_checkpointing", FLAG(training.activation_checkpointing),
                      "Whether kept units keep only their inputs and run forward again before "
                      "their backward pass: less memory, more time.")});
}

void AddTrainingOptimizer(std::vector<JobField>& fields) {
  fields.insert(
      fields.end(),
      {Range("training.learning_rate", REAL(training.learning_rate), 0, 10, "Peak learning rate."),
       Choice("training.schedule", TEXT(training.schedule), {"cosine", "linear", "constant"},
              "Shape of the learning rate after warm-up."),
       Range("training.warmup_ratio", REAL(training.warmup_ratio), 0, 1,
             "Share of all steps spent in linear warm-up."),
       Range("training.weight_decay", REAL(training.weight_decay), 0, 10,
             "Decoupled weight decay of AdamW."),
       RangeBelow("training.beta1", REAL(training.beta1), 0, 1, "First moment decay of AdamW."),
       RangeBelow("training.beta2", REAL(training.beta2), 0, 1, "Second moment decay of AdamW."),
       Range("training.epsilon", REAL(training.epsilon), 1e-16, 1, "Denominator offset of AdamW."),
       Range("training.max_grad_norm", REAL(training.max_grad_norm), 0, 1e6,
             "Limit of the global gradient norm; 0: no clipping."),
       Range("training.seed", WHOLE(training.seed), 0, 9'007'199'254'740'991,
             "Seed of initial adapters, data order, dropout and masks.")});
}

void AddEvaluation(std::vector<JobField>& fields) {
  fields.insert(
      fields.end(),
      {Range("evaluation.every_steps", WHOLE(evaluation.every_steps), 0, 10'000'000,
             "Optimizer steps between evaluations on held-out samples; 0: a tenth of the job. "
             "There is always one after the last step."),
       Range("evaluation.max_samples", WHOLE(evaluation.max_samples), 0, 1'000'000,
             "The most held-out samples that are evaluated on, the first ones; 0: all."),
       Free("evaluation.prompts", WORDS(evaluation.prompts),
            "Prompts that the model answers at each evaluation, as one user turn each where it "
            "has a chat template; at most 16."),
       Range("evaluation.max_new_tokens", WHOLE(evaluation.max_new_tokens), 1, 4096,
             "The longest answer to one of them, in tokens."),
       Range("evaluation.patience", WHOLE(evaluation.patience), 0, 10'000,
             "Evaluations in a row without a smaller validation loss after which the job ends; "
             "0: it does not."),
       Choice("evaluation.result", TEXT(evaluation.result), {"last", "best"},
              "Which weights are the job's result: those after the last step, or those with the "
              "least validation loss.")});
}

void AddDropbp(std::vector<JobField>& fields) {
  fields.insert(
      fields.end(),
      {RangeBelow("dropbp.drop_rate", REAL(dropbp.drop_rate), 0, 1,
                  "Target share of the units' backward FLOPs to drop; 0: plain training."),
       Choice("dropbp.allocation", TEXT(dropbp.allocation),
              {"depth", "uniform", "quadratic", "linear", "neyman"},
              "How the target is shared out among the units. depth: each row keeps the layers from "
              "a drawn height up, so that gradients of kept units are exact; no sensitivities are "
              "measured. uniform: one rate for all. The others drop sensitive units less: "
              "quadratic minimises the sum of S_u p_u^2, linear that of S_u p_u, neyman the "
              "variance of rescaled gradients."),
       Range("dropbp.max_unit_rate", REAL(dropbp.max_unit_rate), 0, 1,
             "Largest drop rate of one unit, before rates are rounded; 0: max(0.95, (1 + target) / "
             "2)."),
       Choice(
           "dropbp.estimator", TEXT(dropbp.estimator),
           {"by_allocation", "paper", "own", "unbiased"},
           "Rescaling of gradients: none (paper), a unit's own gradient divided by its keep rate "
           "(own), or the cotangent that enters its branch (unbiased; not with depth, where own "
           "is unbiased); by_allocation: own for depth, else paper."),
       Choice("dropbp.dropped_update", TEXT(dropbp.dropped_update), {"skip", "advance"},
              "What AdamW does with a parameter whose unit was dropped in every row of a step: "
              "leaves it alone (skip), or takes its gradient as zero (advance).")});
}

void AddDropbpMasks(std::vector<JobField>& fields) {
  fields.insert(
      fields.end(),
      {Choice(
           "dropbp.masks", TEXT(dropbp.masks), {"auto", "shared", "balanced", "single"},
           "Which micro-batches of a step draw mask rows of their own: each one (balanced), each "
           "micro-step with all ranks alike (shared), or none, one row for the whole step "
           "(single); auto: shared for full, else balanced."),
       Range("dropbp.mask_groups", WHOLE(dropbp.mask_groups), 0, 4096,
             "Groups of sequences within a micro-batch that have a mask row each; a divisor of "
             "training.micro_batch_size; 0: the largest divisor up to 8 for balanced, else 1."),
       Choice("dropbp.schedule", TEXT(dropbp.schedule), {"constant", "ramp", "anneal"},
              "Course of the target: constant, rising from 0 over the first steps (ramp), or "
              "falling to 0 over the last (anneal)."),
       RangeBelow("dropbp.schedule_share", REAL(dropbp.schedule_share), 0, 1,
                  "Share of all steps over which ramp rises or anneal falls, in 8 stages.")});
}

void AddDropbpProbe(std::vector<JobField>& fields) {
  fields.insert(fields.end(),
                {RangeBelow("dropbp.probe_at", REAL(dropbp.probe_at), 0, 1,
                            "Share of all steps after which sensitivities are measured."),
                 Range("dropbp.probe_every", WHOLE(dropbp.probe_every), 0, 10'000'000,
                       "Steps after which they are measured again; 0: once only."),
                 Range("dropbp.probe_samples", WHOLE(dropbp.probe_samples), 1, 1024,
                       "Sequences in the probe batch.")});
}

void AddCheckpoint(std::vector<JobField>& fields) {
  fields.insert(
      fields.end(),
      {Range("checkpoint.every_steps", WHOLE(checkpoint.every_steps), 0, 10'000'000,
             "Optimizer steps between checkpoints; 0: by time, every every_minutes."),
       Range("checkpoint.every_minutes", REAL(checkpoint.every_minutes), 0, 100'000,
             "Minutes between checkpoints where every_steps is 0; 0: only when the job is paused "
             "or moved."),
       Range("checkpoint.keep", WHOLE(checkpoint.keep), 1, 1000,
             "How many of the newest complete checkpoints are kept.")});
}

void AddResources(std::vector<JobField>& fields) {
  fields.insert(fields.end(),
                {Range("resources.ranks", WHOLE(resources.ranks), 1, 1024,
                       "Number of ranks: trainer processes, one a device slot."),
                 Choice("resources.device", TEXT(resources.device), {"any", "cpu", "cuda"},
                        "Kind of device; any: CUDA where enough slots are free, else CPU.")});
}

#undef FIELD
#undef TEXT
#undef WHOLE
#undef REAL
#undef FLAG
#undef NUMBERS
#undef WORDS
#undef PAIRS

std::vector<JobField> MakeFields() {
  std::vector<JobField> fields;
  AddJob(fields);
  AddDataset(fields);
  AddLora(fields);
  AddLoraVariants(fields);
  AddOtherMethods(fields);
  AddTrainingLength(fields);
  AddTrainingOptimizer(fields);
  AddEvaluation(fields);
  AddDropbp(fields);
  AddDropbpMasks(fields);
  AddDropbpProbe(fields);
  AddCheckpoint(fields);
  AddResources(fields);
  return fields;
}

}  // namespace

absl::Span<const JobField> JobFields() {
  static const auto& fields = *new std::vector<JobField>(MakeFields());
  return fields;
}

const JobField* FindJobField(std::string_view path) {
  for (const JobField& field : JobFields()) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

}  // namespace dropbp
