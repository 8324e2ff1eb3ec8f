// Suggests the field that was meant.
#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "core/base/text.h"
#include "core/job/job_fields.h"

namespace dropbp {
namespace {

// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(above, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({row[j - 1] + 1, above[j] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::string_view LastKey(std::string_view path) { return path.substr(path.rfind('.') + 1); }

std::vector<std::string_view> KnownNames() {
  std::vector<std::string_view> names = {"name", "dataset.file", "dataset.validation_file"};
  std::set<std::string_view> sections;
  for (const JobField& field : JobFields()) {
    names.push_back(field.path);
    if (const size_t dot = field.path.find('.'); dot != std::string_view::npos) {
      sections.insert(field.path.substr(0, dot));
    }
  }
  names.insert(names.end(), sections.begin(), sections.end());
  return names;
}

// What PEFT, TRL, transformers, Axolotl, LLaMA-Factory and torchtune call a field, where no edit
// distance finds it; docs/job-file.md has those that differ in meaning.
struct OtherName {
  std::string_view other;  // the last key of its path
  std::string_view ours;
};
constexpr OtherName kOtherNames[] = {
    {"base_model", "model"},
    {"model_name_or_path", "model"},
    {"adapter", "method"},
    {"finetuning_type", "method"},
    {"peft_type", "method"},
    {"bf16", "dtype"},
    {"fp16", "dtype"},
    {"torch_dtype", "dtype"},
    {"lora_model_dir", "init_from"},
    {"datasets", "dataset.file"},
    {"train_file", "dataset.file"},
    {"dataset_name", "dataset.file"},
    {"test_datasets", "dataset.validation_file"},
    {"eval_dataset", "dataset.validation_file"},
    {"val_set_size", "dataset.validation_share"},
    {"val_size", "dataset.validation_share"},
    {"sequence_len", "dataset.max_length"},
    {"max_seq_len", "dataset.max_length"},
    {"max_seq_length", "dataset.max_length"},
    {"cutoff_len", "dataset.max_length"},
    {"sample_packing", "dataset.packing"},
    {"train_on_inputs", "dataset.loss_on"},
    {"train_on_prompt", "dataset.loss_on"},
    {"roles_to_train", "dataset.loss_on"},
    {"assistant_only_loss", "dataset.loss_on"},
    {"completion_only_loss", "dataset.loss_on"},
    {"r", "lora.rank"},
    {"lora_r", "lora.rank"},
    {"lora_rank", "lora.rank"},
    {"lora_alpha", "lora.alpha"},
    {"lora_dropout", "lora.dropout"},
    {"lora_target", "lora.target_modules"},
    {"lora_target_modules", "lora.target_modules"},
    {"lora_target_linear", "lora.target_modules"},
    {"lora_modules_to_save", "lora.modules_to_save"},
    {"peft_use_dora", "lora.use_dora"},
    {"peft_use_rslora", "lora.use_rslora"},
    {"max_steps", "training.steps"},
    {"num_epochs", "training.epochs"},
    {"num_train_epochs", "training.epochs"},
    {"batch_size", "training.micro_batch_size"},
    {"gradient_accumulation_steps", "training.global_batch_size"},
    {"per_device_train_batch_size", "training.micro_batch_size"},
    {"gradient_checkpointing", "training.activation_checkpointing"},
    {"lr", "training.learning_rate"},
    {"lr_scheduler", "training.schedule"},
    {"lr_scheduler_type", "training.schedule"},
    {"warmup_steps", "training.warmup_ratio"},
    {"adam_beta1", "training.beta1"},
    {"adam_beta2", "training.beta2"},
    {"adam_epsilon", "training.epsilon"},
    {"eval_steps", "evaluation.every_steps"},
    {"early_stopping_patience", "evaluation.patience"},
    {"load_best_model_at_end", "evaluation.result"},
    {"save_steps", "checkpoint.every_steps"},
    {"save_total_limit", "checkpoint.keep"},
    {"num_processes", "resources.ranks"},
    {"nproc_per_node", "resources.ranks"},
};

std::string_view OursFor(std::string_view key) {
  const auto* found = std::find_if(std::begin(kOtherNames), std::end(kOtherNames),
                                   [key](const OtherName& name) { return name.other == key; });
  return found == std::end(kOtherNames) ? "" : found->ours;
}

}  // namespace

std::string NearestJobField(std::string_view unknown) {
  constexpr size_t kLongestName = 100;
  if (unknown.size() > kLongestName) return "";
  const std::string wanted =
      absl::StrReplaceAll(absl::AsciiStrToLower(AbslView(unknown)), {{"-", "_"}});
  const std::string_view key = LastKey(wanted);
  if (const std::string_view ours = OursFor(key); !ours.empty()) return std::string(ours);
  size_t best = std::max<size_t>(1, key.size() / 3) + 1;
  std::string nearest;
  for (std::string_view name : KnownNames()) {
    // A right key in the wrong place counts as one mistake.
    const size_t distance =
        std::min(EditDistance(wanted, name), 1 + EditDistance(key, LastKey(name)));
    if (distance < best) {
      best = distance;
      nearest = std::string(name);
    }
  }
  return nearest;
}

}  // namespace dropbp
