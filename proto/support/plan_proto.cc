#include "proto/support/job_spec_proto.h"

namespace dropbp {

v1::MaskBlock MaskBlockToProto(const MaskBlock& block) {
  v1::MaskBlock proto;
  proto.set_plan_version(block.plan_version);
  proto.set_first_step(block.first_step);
  proto.set_steps(block.steps);
  proto.set_rows(block.rows);
  proto.set_units(block.units);
  proto.set_bits(block.bits);
  proto.set_hash(block.hash);
  proto.mutable_keep_rates()->Add(block.keep_rates.begin(), block.keep_rates.end());
  return proto;
}

MaskBlock MaskBlockFromProto(const v1::MaskBlock& proto) {
  return {.plan_version = proto.plan_version(),
          .first_step = proto.first_step(),
          .steps = proto.steps(),
          .rows = proto.rows(),
          .units = proto.units(),
          .bits = proto.bits(),
          .hash = proto.hash(),
          .keep_rates = {proto.keep_rates().begin(), proto.keep_rates().end()}};
}

v1::ModelShape ModelShapeToProto(const ModelShape& shape) {
  v1::ModelShape proto;
  proto.set_layers(static_cast<int32_t>(shape.layers));
  proto.set_hidden_size(static_cast<int32_t>(shape.hidden_size));
  proto.set_intermediate_size(static_cast<int32_t>(shape.intermediate_size));
  proto.set_attention_heads(static_cast<int32_t>(shape.attention_heads));
  proto.set_key_value_heads(static_cast<int32_t>(shape.key_value_heads));
  proto.set_head_dim(static_cast<int32_t>(shape.head_dim));
  proto.set_vocab_size(static_cast<int32_t>(shape.vocab_size));
  proto.set_tied_embeddings(shape.tied_embeddings);
  proto.set_model_type(shape.model_type);
  proto.set_fused_projections(shape.fused_projections);
  proto.set_qkv_bias(shape.qkv_bias);
  proto.set_attention_output_bias(shape.attention_output_bias);
  proto.set_mlp_bias(shape.mlp_bias);
  proto.set_query_key_norms(shape.query_key_norms);
  proto.set_post_norms(shape.post_norms);
  proto.mutable_windows()->Add(shape.windows.begin(), shape.windows.end());
  return proto;
}

ModelShape ModelShapeFromProto(const v1::ModelShape& proto) {
  return {.model_type = proto.model_type(),
          .layers = proto.layers(),
          .hidden_size = proto.hidden_size(),
          .intermediate_size = proto.intermediate_size(),
          .attention_heads = proto.attention_heads(),
          .key_value_heads = proto.key_value_heads(),
          .head_dim = proto.head_dim(),
          .vocab_size = proto.vocab_size(),
          .tied_embeddings = proto.tied_embeddings(),
          .fused_projections = proto.fused_projections(),
          .qkv_bias = proto.qkv_bias(),
          .attention_output_bias = proto.attention_output_bias(),
          .mlp_bias = proto.mlp_bias(),
          .query_key_norms = proto.query_key_norms(),
          .post_norms = proto.post_norms(),
          .windows = {proto.windows().begin(), proto.windows().end()}};
}

}  // namespace dropbp
