// Loading for QLoRA never holds the model in 16 bits.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "bench/train_speed/memory_watch.h"
#include "tests/unit/worker/trainer/model/small_decoder.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/model/tensor_views.h"

namespace dropbp::trainer {
namespace {

constexpr int64_t kLayers = 12;
constexpr int64_t kHidden = 256;
constexpr int64_t kIntermediate = 768;
constexpr int64_t kVocabulary = 101;

// A model folder with weights in bf16, and what its linear modules take there.
class QuantizedLoadingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    std::ofstream(folder_ + "/config.json") << R"({
        "model_type": "llama", "num_hidden_layers": 12, "hidden_size": 256,
        "intermediate_size": 768, "vocab_size": 101, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 64, "tie_word_embeddings": true,
        "rms_norm_eps": 1e-5, "eos_token_id": 2})";
    Add("model.embed_tokens.weight", {kVocabulary, kHidden});
    Add("model.norm.weight", {kHidden});
    for (int64_t layer = 0; layer < kLayers; ++layer)
      AddLayer(absl::StrCat("model.layers.", layer));
    std::map<std::string, hf::TensorView> views;
    for (const auto& [name, tensor] : tensors_) views[name] = BorrowView(tensor);
    ASSERT_TRUE(hf::WriteSafetensors(folder_ + "/model.safetensors", views, {}).ok());
    tensors_.clear();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void AddLayer(const std::string& layer) {
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      Add(absl::StrCat(layer, ".", norm, ".weight"), {kHidden});
    AddLinear(layer + ".self_attn.q_proj", 256, kHidden);
    AddLinear(layer + ".self_attn.k_proj", 128, kHidden);
    AddLinear(layer + ".self_attn.v_proj", 128, kHidden);
    AddLinear(layer + ".self_attn.o_proj", kHidden, 256);
    AddLinear(layer + ".mlp.gate_proj", kIntermediate, kHidden);
    AddLinear(layer + ".mlp.up_proj", kIntermediate, kHidden);
    AddLinear(layer + ".mlp.down_proj", kHidden, kIntermediate);
  }
  void AddLinear(const std::string& module, int64_t out, int64_t in) {
    Add(module + ".weight", {out, in});
    linear_elements_ += out * in;
  }
  void Add(const std::string& name, at::IntArrayRef shape) {
    tensors_[name] = at::randn(shape).to(at::kBFloat16);
  }

  // The most bytes of tensors while the folder is being loaded, and those that stay.
  struct Bytes {
    int64_t peak, held;
  };
  Bytes Load(const std::string& method) const {
    DecoderOptions options = SmallOptions(method, "bf16");
    options.lora.rank = 1;
    const MemoryWatch watch;
    const auto decoder = Decoder::Load(folder_, options);
    EXPECT_TRUE(decoder.ok()) << decoder.status();
    return {watch.peak_bytes(), watch.held_bytes()};
  }

  std::string folder_ = ::testing::TempDir() + "quantized_loading_XXXXXX";
  std::map<std::string, at::Tensor> tensors_;
  int64_t linear_elements_ = 0;
};

TEST_F(QuantizedLoadingTest, HoldsOneWeightAtATimeBesideWhatStays) {
  at::set_num_threads(1);
  const Bytes plain = Load("lora");
  const Bytes quantized = Load("qlora");
  EXPECT_GE(plain.held, 2 * linear_elements_) << "the watch sees the weights";
  // 4 bits, an eighth for scales of 64 elements and a little; the rest is embedding and adapters.
  EXPECT_LE(quantized.held, plain.held - 2 * linear_elements_ + linear_elements_ * 17 / 32);
  // The widest weight, in fp32, and its codes before they are where they stay.
  constexpr int64_t kWidest = 4 * kIntermediate * kHidden;
  EXPECT_LE(quantized.peak, quantized.held + 2 * kWidest);
  EXPECT_LE(quantized.peak, linear_elements_) << "half of the model in 16 bits";
}

}  // namespace
}  // namespace dropbp::trainer
