// A real model: log-probabilities and greedy answers, bare and with an adapter written by us,
// against transformers and PEFT. Needs $DROPBP_MODELS/smollm2-135m-instruct; skipped with a reason
// where it is not there.
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "worker/data/chat_template.h"
#include "worker/data/tokenizer.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/generate/greedy.h"
#include "worker/trainer/model/adapter_files.h"
#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {
namespace {

// Absolute, fp32 here against fp64 there. How far any fp32 is off depends on the order of sums and
// so on the processor; where transformers' own fp32 is off by more than half of this, ours may be
// off by twice as much as transformers'.
constexpr double kLogProbTolerance = 1e-4;
constexpr int64_t kNewTokens = 24;  // as in model_oracle.py

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

hf::TensorView LongView(const at::Tensor& tensor) {
  hf::TensorView view;
  view.type = hf::TensorType::kI64;
  view.shape = tensor.sizes().vec();
  view.data = {static_cast<const uint8_t*>(tensor.const_data_ptr()),
               static_cast<size_t>(tensor.nbytes())};
  return view;
}

class SmolLm2ParityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(2);
    model_dir_ = Environment("DROPBP_MODELS") + "/smollm2-135m-instruct";
    if (access((model_dir_ + "/config.json").c_str(), R_OK) != 0) {
      GTEST_SKIP() << "no model at " << model_dir_ << "; tools/convert_smollm2 makes it";
    }
    EncodePrompts();
  }

  void EncodePrompts() {
    const auto tokenizer = data::Tokenizer::Load(model_dir_).value();
    const auto chat = data::ChatTemplate::Load(model_dir_).value();
    int64_t longest = 0;
    for (const char* text :
         {"What is the capital of France?", "Write one line about the sea.",
          "Order 4711 has not arrived, please send it again to Bergstr. 7. Answer as JSON."}) {
      prompts_.push_back(
          tokenizer->Encode(chat->Render({{"user", text}}, true).value().text).value());
      longest = std::max<int64_t>(longest, prompts_.back().size());
    }
    ids_ = at::zeros({static_cast<int64_t>(prompts_.size()), longest}, at::kLong);
    lengths_ = at::zeros({static_cast<int64_t>(prompts_.size())}, at::kLong);
    for (size_t row = 0; row < prompts_.size(); ++row) {
      lengths_[row] = static_cast<int64_t>(prompts_[row].size());
      for (size_t i = 0; i < prompts_[row].size(); ++i) ids_[row][i] = prompts_[row][i];
    }
  }

  // Runs the oracle on the prompts; `adapter` may be empty.
  std::shared_ptr<const hf::SafetensorsFile> Oracle(const std::string& adapter) const {
    const std::string inputs = ::testing::TempDir() + "smollm2_ids.safetensors";
    const std::string outputs = ::testing::TempDir() + "smollm2_expected.safetensors";
    EXPECT_TRUE(
        hf::WriteSafetensors(inputs, {{"ids", LongView(ids_)}, {"lengths", LongView(lengths_)}}, {})
            .ok());
    const std::string command = Environment("DROPBP_ORACLES") + "/bin/python " +
                                Environment("DROPBP_SOURCE_DIR") +
                                "/tests/parity/model_oracle.py reference " + model_dir_ + " " +
                                inputs + " " + outputs + " " + adapter + " > /dev/null 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return hf::SafetensorsFile::Open(outputs).value();
  }

  void ExpectEqualsOracle(Decoder& decoder, const std::string& adapter) const {
    const auto expected = Oracle(adapter);
    const hf::TensorView& view = expected->tensors().at("logprobs");
    const at::Tensor wanted =
        at::from_blob(const_cast<uint8_t*>(view.data.data()), view.shape, at::kFloat);
    at::NoGradGuard no_grad;
    const at::Tensor logprobs = at::log_softmax(decoder.Logits(decoder.Forward(ids_, {})), -1);
    for (int64_t row = 0; row < ids_.size(0); ++row) {
      const int64_t length = lengths_[row].item<int64_t>();
      const at::Tensor difference = (logprobs[row] - wanted[row]).narrow(0, 0, length);
      const double rounding = *reinterpret_cast<const float*>(
          expected->tensors().at("rounding." + std::to_string(row)).data.data());
      EXPECT_LE(difference.abs().max().item<double>(), std::max(kLogProbTolerance, 2 * rounding))
          << "prompt " << row << "; transformers' own fp32 is off by " << rounding;
    }
    const auto answers = GenerateGreedily(decoder, prompts_, kNewTokens);
    for (size_t row = 0; row < prompts_.size(); ++row) {
      const hf::TensorView& tokens = expected->tensors().at("greedy." + std::to_string(row));
      const auto* begin = reinterpret_cast<const int64_t*>(tokens.data.data());
      EXPECT_EQ(answers[row], std::vector<data::TokenId>(begin, begin + tokens.shape[0]))
          << "prompt " << row;
    }
  }

  std::string model_dir_;
  std::vector<std::vector<data::TokenId>> prompts_;
  at::Tensor ids_;  // padded to the right
  at::Tensor lengths_;
};

TEST_F(SmolLm2ParityTest, LogProbabilitiesAndGreedyTokensEqualTransformers) {
  DecoderOptions options;
  options.dtype = "fp32";
  ExpectEqualsOracle(*Decoder::Load(model_dir_, options).value(), "");
}

TEST_F(SmolLm2ParityTest, AnAdapterWrittenByUsDoesTheSameInPeft) {
  DecoderOptions options;
  options.dtype = "fp32";
  options.method = "lora";
  options.lora.rank = 8;
  const auto decoder = Decoder::Load(model_dir_, options).value();
  at::manual_seed(1);
  for (const TrainableParameter& parameter : decoder->trainable()) {
    at::NoGradGuard no_grad;
    if (parameter.name.find("lora_B") != std::string::npos)
      at::Tensor(parameter.value).normal_(0, 0.02);
  }
  const std::string adapter = ::testing::TempDir() + "smollm2_adapter";
  ASSERT_TRUE(
      WriteAdapter(adapter, *decoder, {.lora = options.lora}, "smollm2-135m-instruct").ok());
  ExpectEqualsOracle(*decoder, adapter);
}

}  // namespace
}  // namespace dropbp::trainer
