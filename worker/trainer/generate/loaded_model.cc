#include "worker/trainer/generate/loaded_model.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

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

}  // namespace dropbp::trainer
