#include <gtest/gtest.h>

#include "proto/support/job_spec_proto.h"

namespace dropbp {
namespace {

TEST(PlanProtoTest, BringsAMaskBlockThereAndBack) {
  const MaskBlock block{.plan_version = 2,
                        .first_step = int64_t{1} << 40,
                        .steps = 2,
                        .rows = 1,
                        .units = 9,
                        .bits = std::string("\x00\x01\xff\x00", 4),
                        .hash = 0xfedcba9876543210ull,
                        .keep_rates = {1, 2, 3, 4, 5, 6, 7, 8, 1u << 24}};
  v1::MaskBlock proto;
  ASSERT_TRUE(proto.ParseFromString(MaskBlockToProto(block).SerializeAsString()));
  const MaskBlock back = MaskBlockFromProto(proto);
  EXPECT_EQ(back.plan_version, block.plan_version);
  EXPECT_EQ(back.first_step, block.first_step);
  EXPECT_EQ(back.steps, block.steps);
  EXPECT_EQ(back.rows, block.rows);
  EXPECT_EQ(back.units, block.units);
  EXPECT_EQ(back.bits, block.bits);
  EXPECT_EQ(back.hash, block.hash);
  EXPECT_EQ(back.keep_rates, block.keep_rates);
}

TEST(PlanProtoTest, BringsAModelShapeThereAndBack) {
  const ModelShape shape{.model_type = "llama",
                         .layers = 30,
                         .hidden_size = 576,
                         .intermediate_size = 1536,
                         .attention_heads = 9,
                         .key_value_heads = 3,
                         .head_dim = 64,
                         .vocab_size = 49152,
                         .tied_embeddings = true,
                         .fused_projections = true,
                         .qkv_bias = true,
                         .attention_output_bias = true,
                         .mlp_bias = true,
                         .query_key_norms = true,
                         .post_norms = true,
                         .windows = {0, int64_t{1} << 32}};
  const ModelShape back = ModelShapeFromProto(ModelShapeToProto(shape));
  EXPECT_EQ(back.model_type, shape.model_type);
  EXPECT_EQ(back.layers, shape.layers);
  EXPECT_EQ(back.hidden_size, shape.hidden_size);
  EXPECT_EQ(back.intermediate_size, shape.intermediate_size);
  EXPECT_EQ(back.attention_heads, shape.attention_heads);
  EXPECT_EQ(back.key_value_heads, shape.key_value_heads);
  EXPECT_EQ(back.head_dim, shape.head_dim);
  EXPECT_EQ(back.vocab_size, shape.vocab_size);
  EXPECT_EQ(back.tied_embeddings, shape.tied_embeddings);
  EXPECT_EQ(back.fused_projections, shape.fused_projections);
  EXPECT_EQ(back.qkv_bias, shape.qkv_bias);
  EXPECT_EQ(back.attention_output_bias, shape.attention_output_bias);
  EXPECT_EQ(back.mlp_bias, shape.mlp_bias);
  EXPECT_EQ(back.query_key_norms, shape.query_key_norms);
  EXPECT_EQ(back.post_norms, shape.post_norms);
  EXPECT_EQ(back.windows, shape.windows);
}

}  // namespace
}  // namespace dropbp
