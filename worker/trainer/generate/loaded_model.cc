#include "worker/trainer/generate/loaded_model.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>

#include "worker/trainer/model/adapter_files.h"

namespace dropbp::trainer {

absl::StatusOr<LoadedModel> LoadModel(const ModelFlags& flags) {
  if (flags.threads > 0) at::set_num_threads(flags.threads);
  DecoderOptions options;
  if (!flags.adapter_dir.empty()) {
    ASSIGN_OR_RETURN(const AdapterSpec adapter, ReadAdapterConfig(flags.adapter_dir));
    options = OptionsFor(adapter);
  }
  if (const auto quantization = flags.quantization.Chosen()) {
    if (options.method != "lora")
      return absl::InvalidArgumentError("--base nf4 needs the adapter that was trained on it");
    options.method = "qlora";
    options.qlora = *quantization;
  }
  options.dtype = flags.dtype;
  options.device = flags.device;
  LoadedModel loaded;
  ASSIGN_OR_RETURN(loaded.tokenizer, data::Tokenizer::Load(flags.model_dir));
  ASSIGN_OR_RETURN(loaded.decoder, Decoder::Load(flags.model_dir, options));
  if (!flags.adapter_dir.empty()) RETURN_IF_ERROR(LoadAdapter(flags.adapter_dir, *loaded.decoder));
  return loaded;
}

absl::StatusOr<std::vector<data::TokenId>> EncodePrompt(const data::Tokenizer& tokenizer,
                                                        const std::string& text) {
  ASSIGN_OR_RETURN(std::vector<data::TokenId> ids, tokenizer.Encode(text));
  const std::vector<data::TokenId>& begin = tokenizer.Around().begin;
  const bool has_begin =
      ids.size() >= begin.size() && std::equal(begin.begin(), begin.end(), ids.begin());
  if (!has_begin) ids.insert(ids.begin(), begin.begin(), begin.end());
  if (ids.empty()) return absl::InvalidArgumentError("the prompt is empty");
  return ids;
}

}  // namespace dropbp::trainer
