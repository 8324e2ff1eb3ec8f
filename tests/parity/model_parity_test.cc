// The decoder against transformers and PEFT on small random models: logits, losses, every gradient
// by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include "worker/hf/safetensors.h"
#include "worker/trainer/model/adapter_files.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/model/kv_cache.h"
#include "worker/trainer/model/tensor_views.h"

namespace dropbp::trainer {
namespace {

constexpr double kLogitTolerance = 2e-5;     // absolute, on logits of size about 1
constexpr double kGradientTolerance = 2e-5;  // of the gradient's own norm

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// A reference made by model_oracle.py for one case.
class Reference {
 public:
  explicit Reference(const std::string& kind)
      : dir_(::testing::TempDir() + "model_parity_" + kind) {
    std::filesystem::remove_all(dir_);
    const std::string command =
        Environment("DROPBP_ORACLES") + "/bin/python " + Environment("DROPBP_SOURCE_DIR") +
        "/tests/parity/model_oracle.py small " + dir_ + " " + kind + " > /dev/null 2>&1";
    if (std::system(command.c_str()) != 0) return;
    file_ = hf::SafetensorsFile::Open(dir_ + "/expected.safetensors").value();
  }

  bool made() const { return file_ != nullptr; }
  const std::string& dir() const { return dir_; }

  at::Tensor Get(const std::string& name) const {
    const hf::TensorView& view = file_->tensors().at(name);
    const auto type = view.type == hf::TensorType::kI64 ? at::kLong : at::kFloat;
    return at::from_blob(const_cast<uint8_t*>(view.data.data()), view.shape, at::dtype(type))
        .clone();
  }

  // Names that begin with `prefix`, without it.
  std::vector<std::string> Names(const std::string& prefix) const {
    std::vector<std::string> names;
    for (const auto& [name, view] : file_->tensors()) {
      if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
    }
    return names;
  }

 private:
  std::string dir_;
  std::shared_ptr<const hf::SafetensorsFile> file_;
};

double MaxDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

class ModelParityTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    at::set_num_threads(2);
    ASSERT_TRUE(reference_.made()) << "model_oracle.py failed; is DROPBP_ORACLES set?";
  }

  std::unique_ptr<Decoder> Load(const std::string& method) {
    DecoderOptions options;
    options.dtype = "fp32";
    options.method = method;
    if (method == "lora") options.lora = ReadAdapterConfig(reference_.dir() + "/adapter").value();
    auto decoder = Decoder::Load(reference_.dir(), options);
    EXPECT_TRUE(decoder.ok()) << decoder.status();
    return *std::move(decoder);
  }

  // Loss and gradients of `decoder` equal those stored under `prefix`, and no name is missing on
  // either side.
  void ExpectGradients(Decoder& decoder, const std::string& prefix) {
    const at::Tensor loss =
        decoder.LossSum(decoder.Forward(reference_.Get("ids"), {}), reference_.Get("targets"));
    const double expected_loss = reference_.Get(prefix + "loss").item<double>();
    EXPECT_NEAR(loss.item<double>(), expected_loss, 2e-6 * expected_loss);
    loss.backward();
    std::vector<std::string> names;
    for (const TrainableParameter& parameter : decoder.trainable()) {
      names.push_back(parameter.name);
      ASSERT_TRUE(parameter.value.grad().defined()) << parameter.name;
      const at::Tensor expected = reference_.Get(prefix + "grad." + parameter.name);
      const double error = (parameter.value.grad() - expected).norm().item<double>();
      EXPECT_LE(error, kGradientTolerance * expected.norm().item<double>()) << parameter.name;
    }
    EXPECT_THAT(names, ::testing::UnorderedElementsAreArray(reference_.Names(prefix + "grad.")));
  }

  // Made once a case.
  static const Reference& ReferenceOf(const std::string& kind) {
    static auto* references = new std::map<std::string, std::unique_ptr<Reference>>();
    std::unique_ptr<Reference>& slot = (*references)[kind];
    if (slot == nullptr) slot = std::make_unique<Reference>(kind);
    return *slot;
  }

  const Reference& reference_ = ReferenceOf(GetParam());
};

TEST_P(ModelParityTest, BaseLogitsEqualTransformers) {
  const auto decoder = Load("none");
  const at::Tensor logits = decoder->Logits(decoder->Forward(reference_.Get("ids"), {}));
  EXPECT_LE(MaxDifference(logits, reference_.Get("logits")), kLogitTolerance);
}

TEST_P(ModelParityTest, CachedForwardEqualsTheWhole) {
  const auto decoder = Load("none");
  const at::Tensor ids = reference_.Get("ids");
  const auto cache = decoder->NewCache(at::zeros({2}, at::kLong), ids.size(1));
  const at::Tensor first = decoder->ForwardCached(ids.narrow(1, 0, 100), *cache);
  const at::Tensor rest = decoder->ForwardCached(ids.narrow(1, 100, 50), *cache);
  const at::Tensor logits = decoder->Logits(at::cat({first, rest}, 1));
  EXPECT_LE(MaxDifference(logits, reference_.Get("logits")), kLogitTolerance);
}

TEST_P(ModelParityTest, FullGradientsEqualTransformers) {
  const auto decoder = Load("full");
  ExpectGradients(*decoder, "full.");
}

TEST_P(ModelParityTest, LoraGradientsEqualPeft) {
  const auto decoder = Load("lora");
  const absl::Status loaded = LoadAdapter(reference_.dir() + "/adapter", *decoder);
  ASSERT_TRUE(loaded.ok()) << loaded;
  ExpectGradients(*decoder, "lora.");
}

INSTANTIATE_TEST_SUITE_P(Cases, ModelParityTest,
                         ::testing::Values("grouped", "tied_with_biases", "wide_heads"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace dropbp::trainer
