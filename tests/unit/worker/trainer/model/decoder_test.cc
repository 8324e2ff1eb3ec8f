#include "worker/trainer/model/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/trainer/model/small_decoder.h"

namespace dropbp::trainer {
namespace {

using ::testing::HasSubstr;

TEST(DecoderTest, TheSameSeedGivesTheSameAdaptersAndAnotherSeedOthers) {
  DecoderOptions options = SmallOptions("lora");
  const auto first = Decoder::Random(SmallConfig(), options).value();
  const auto second = Decoder::Random(SmallConfig(), options).value();
  options.seed = 4;
  const auto other = Decoder::Random(SmallConfig(), options).value();
  for (size_t i = 0; i < first->trainable().size(); ++i) {
    const TrainableParameter& parameter = first->trainable()[i];
    EXPECT_TRUE(at::equal(parameter.value, second->trainable()[i].value));
    const bool is_a = parameter.name.find("lora_A") != std::string::npos;
    EXPECT_EQ(at::equal(parameter.value, other->trainable()[i].value), !is_a) << parameter.name;
    const double bound = is_a ? 1 / std::sqrt(static_cast<double>(parameter.value.size(1))) : 0;
    EXPECT_LE(parameter.value.abs().max().item<double>(), bound);
  }
}

TEST(DecoderTest, NamesParametersByUnitThenModule) {
  DecoderOptions options = SmallOptions("lora");
  options.lora.target_modules = {"q_proj", "down_proj"};
  const auto decoder = Decoder::Random(SmallConfig(), options).value();
  ASSERT_EQ(decoder->trainable().size(), 3 * 2 * 2u);
  EXPECT_EQ(decoder->trainable()[0].name,
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(decoder->trainable()[1].name,
            "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight");
  EXPECT_EQ(decoder->trainable()[2].name,
            "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight");
  EXPECT_EQ(decoder->trainable()[2].unit, 1);
  EXPECT_EQ(decoder->trainable()[4].unit, 2);
}

TEST(DecoderTest, FullTrainingHasBlockNormsInTheirUnitsAndTheRestInNone) {
  const auto decoder = Decoder::Random(SmallConfig(), SmallOptions("full")).value();
  for (const TrainableParameter& parameter : decoder->trainable()) {
    const bool in_block = parameter.name.find("layers.") != std::string::npos;
    EXPECT_EQ(parameter.unit >= 0, in_block) << parameter.name;
    EXPECT_EQ(parameter.value.scalar_type(), at::kFloat);
  }
}

TEST(DecoderTest, AdapterDropoutIsAFunctionOfItsSeedAndOffOutsideTraining) {
  DecoderOptions options = SmallOptions("lora");
  options.lora.dropout = 0.3;
  const auto decoder = SmallDecoder(options);
  const at::Tensor ids = MakeBatch().ids;
  const auto run = [&](uint64_t seed, const MaskRow& keep) {
    decoder->SeedDropout(seed);
    return decoder->Forward(ids, keep).detach();
  };
  const at::Tensor plain = run(1, {});
  EXPECT_TRUE(at::equal(run(2, {}), plain));
  decoder->SetTraining(true);
  const at::Tensor dropped = run(1, {});
  EXPECT_FALSE(at::equal(dropped, plain));
  EXPECT_TRUE(at::equal(run(1, {}), dropped));
  EXPECT_TRUE(at::equal(run(1, {false, true, false, false, true, false}), dropped));
  EXPECT_FALSE(at::equal(run(2, {}), dropped));
}

TEST(DecoderTest, Bf16StaysCloseToFp32) {
  const auto fp32 = SmallDecoder(SmallOptions("lora"));
  const auto bf16 = SmallDecoder(SmallOptions("lora", "bf16"));
  for (const auto* decoder : {fp32.get(), bf16.get()}) {
    // Adapters of a usual size: rounding errors grow with theirs.
    at::NoGradGuard no_grad;
    for (const TrainableParameter& parameter : decoder->trainable()) {
      if (parameter.name.find("lora_B") != std::string::npos)
        at::Tensor(parameter.value).mul_(0.02);
    }
  }
  const SmallBatch batch = MakeBatch();
  const at::Tensor expected = fp32->LossSum(fp32->Forward(batch.ids, {}), batch.targets);
  const at::Tensor loss = bf16->LossSum(bf16->Forward(batch.ids, {}), batch.targets);
  EXPECT_NEAR(loss.item<double>(), expected.item<double>(), 1e-2 * expected.item<double>());
  expected.backward();
  loss.backward();
  for (size_t i = 0; i < fp32->trainable().size(); ++i) {
    const at::Tensor wanted = fp32->trainable()[i].value.grad();
    const at::Tensor error = bf16->trainable()[i].value.grad() - wanted;
    EXPECT_LE(error.norm().item<double>(), 0.1 * wanted.norm().item<double>())
        << fp32->trainable()[i].name;
  }
}

TEST(DecoderTest, RefusesWhatItDoesNotKnow) {
  const auto message = [](DecoderOptions options) {
    return std::string(Decoder::Random(SmallConfig(), options).status().message());
  };
  DecoderOptions options = SmallOptions("lora");
  options.lora.target_modules = {"q_proj", "qkv"};
  EXPECT_THAT(message(options), HasSubstr("lora.target_modules: found \"qkv\", legal are"));
  options = SmallOptions("qlora");
  options.lora.modules_to_save = {"norm"};
  EXPECT_THAT(message(options), HasSubstr("lora.modules_to_save: found \"norm\", legal are"));
  options = SmallOptions("ia3");
  options.ia3.feedforward_modules = {"up_proj"};
  EXPECT_THAT(message(options), HasSubstr("ia3.feedforward_modules: found \"up_proj\""));
  options = SmallOptions("prompt_tuning");
  options.prompt_tuning.init = "text";
  EXPECT_THAT(message(options), HasSubstr("prompt_tuning.init: found \"text\""));
  EXPECT_THAT(message(SmallOptions("prefix")), HasSubstr("method: found \"prefix\", legal are"));
  EXPECT_THAT(message(SmallOptions("lora", "int8")), HasSubstr("dtype is \"int8\""));
  options = SmallOptions("lora");
  options.device = "tpu";
  EXPECT_THAT(message(options), HasSubstr("device is \"tpu\""));
  options.device = "cuda:99";
  EXPECT_THAT(message(options), HasSubstr("device is \"cuda:99\", but this machine has"));
}

}  // namespace
}  // namespace dropbp::trainer
