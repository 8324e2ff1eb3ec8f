// The decoder against transformers and PEFT on small random models of every family: logits, losses,
// every gradient by name, the losses of twenty steps, greedy answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tests/parity/adamw_curve.h"
#include "tests/parity/oracle_run.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/generate/greedy.h"
#include "worker/trainer/model/adapter_files.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/model/kv_cache.h"
#include "worker/trainer/model/tensor_views.h"

namespace dropbp::trainer {
namespace {

constexpr double kLogitTolerance = 2e-5;     // absolute, on logits of size about 1
constexpr double kGradientTolerance = 2e-5;  // of the gradient's own norm
// Of each loss; steps carry differences on. Found were 9e-5 in one model, in the others 5e-6.
constexpr double kCurveTolerance = 3e-4;
// In bf16 our errors, as norms of what differs from fp32, may be this many times those of
// transformers: over all logits and gradients together, and for a single gradient.
constexpr double kBf16Tolerance = 1.25;
constexpr double kBf16GradientTolerance = 2;

// The folder of all cases, made once; empty if the oracle failed.
const std::string& ReferenceFolder() {
  static const auto* folder = [] {
    const std::string path = OracleFolder("model-parity");
    return new std::string(RunOracle("model_oracle.py", {"small", path}) ? path : "");
  }();
  return *folder;
}

// What model_oracle.py says of one case.
class Reference {
 public:
  explicit Reference(const std::string& kind) : dir_(ReferenceFolder() + "/" + kind) {
    if (ReferenceFolder().empty()) return;
    file_ = hf::SafetensorsFile::Open(dir_ + "/expected.safetensors").value();
  }

  bool made() const { return file_ != nullptr; }
  const std::string& dir() const { return dir_; }

  at::Tensor Get(const std::string& name) const {
    const hf::TensorView& view = file_->tensors().at(name);
    const auto type = view.type == hf::TensorType::kI64   ? at::kLong
                      : view.type == hf::TensorType::kF64 ? at::kDouble
                                                          : at::kFloat;
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

double NormOf(const at::Tensor& t) { return t.norm().item<double>(); }

double MaxDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

class ModelParityTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    at::set_num_threads(2);
    ASSERT_TRUE(reference_.made()) << "model_oracle.py failed; is DROPBP_ORACLES set?";
  }

  std::unique_ptr<Decoder> Load(const std::string& method, const std::string& dtype = "fp32") {
    DecoderOptions options;
    options.dtype = dtype;
    options.method = method;
    if (method == "lora") options.lora = ReadAdapterConfig(reference_.dir() + "/adapter")->lora;
    auto decoder = Decoder::Load(reference_.dir(), options);
    EXPECT_TRUE(decoder.ok()) << decoder.status();
    if (method == "lora") {
      const absl::Status loaded = LoadAdapter(reference_.dir() + "/adapter", **decoder);
      EXPECT_TRUE(loaded.ok()) << loaded;
    }
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
  ExpectGradients(*decoder, "lora.");
}

TEST_P(ModelParityTest, TwentyStepsOfAllWeightsFollowTransformers) {
  ExpectCurve(AdamWCurve(*Load("full"), reference_.Get("ids"), reference_.Get("targets")),
              reference_.Get("curve"), kCurveTolerance);
}

TEST_P(ModelParityTest, AdaptersNameTheModulesThatPeftNames) {
  const auto decoder = Load("lora");
  const std::string dir = reference_.dir() + "/own_adapter";
  LoraSpec lora = ReadAdapterConfig(reference_.dir() + "/adapter")->lora;
  const std::vector<std::string> modules = lora.target_modules;
  lora.target_modules = {"all-linear"};
  ASSERT_TRUE(WriteAdapter(dir, *decoder, {.lora = lora}, "small").ok());
  EXPECT_THAT(ReadAdapterConfig(dir)->lora.target_modules,
              ::testing::UnorderedElementsAreArray(modules));
}

TEST_P(ModelParityTest, GreedyAnswersEqualTransformers) {
  const auto decoder = Load("none");
  const at::Tensor ids = reference_.Get("ids"), expected = reference_.Get("greedy");
  std::vector<data::TokenId> prompt, answer;
  for (int64_t i = 0; i < 70; ++i)
    prompt.push_back(static_cast<data::TokenId>(ids[0][i].item<int64_t>()));
  for (int64_t i = 0; i < expected.size(0); ++i)
    answer.push_back(static_cast<data::TokenId>(expected[i].item<int64_t>()));
  ASSERT_EQ(answer.size(), 20u);
  EXPECT_EQ(GenerateGreedily(*decoder, {prompt}, 20).front(), answer);
}

TEST_P(ModelParityTest, Bf16IsAsCloseToFp32AsThatOfTransformers) {
  const at::Tensor ids = reference_.Get("ids");
  const auto base = Load("none", "bf16");
  const at::Tensor logits = reference_.Get("logits");
  EXPECT_LE(NormOf(base->Logits(base->Forward(ids, {})) - logits),
            kBf16Tolerance * NormOf(reference_.Get("bf16.logits") - logits));
  const auto adapted = Load("lora", "bf16");
  const at::Tensor loss = adapted->LossSum(adapted->Forward(ids, {}), reference_.Get("targets"));
  const double expected_loss = reference_.Get("lora.loss").item<double>();
  EXPECT_NEAR(loss.item<double>(), expected_loss, 1e-2 * expected_loss);
  loss.backward();
  double our_squares = 0, their_squares = 0;
  for (const TrainableParameter& parameter : adapted->trainable()) {
    const at::Tensor exact = reference_.Get("lora.grad." + parameter.name);
    const double ours = NormOf(parameter.value.grad() - exact);
    const double theirs = NormOf(reference_.Get("bf16.grad." + parameter.name) - exact);
    EXPECT_LE(ours, kBf16GradientTolerance * theirs) << parameter.name;
    our_squares += ours * ours;
    their_squares += theirs * theirs;
  }
  EXPECT_LE(std::sqrt(our_squares), kBf16Tolerance * std::sqrt(their_squares));
}

INSTANTIATE_TEST_SUITE_P(Cases, ModelParityTest,
                         ::testing::Values("grouped", "tied_with_biases", "wide_heads", "llama3",
                                           "llama_linear", "mistral", "qwen2", "qwen3", "smollm3",
                                           "gemma2", "gemma3", "phi3", "phi3_longrope"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace dropbp::trainer
