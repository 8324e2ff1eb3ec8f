// The cost model against what really runs: matrix products are counted while a unit runs backward.
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "core/plan/layer_table.h"
#include "tests/unit/worker/trainer/model/small_decoder.h"

namespace dropbp::trainer {
namespace {

// FLOPs of matrix products, by the name of the operator.
std::map<std::string, int64_t>& Counts() {
  static std::map<std::string, int64_t> counts;
  return counts;
}

// [..., m, k] x [..., k, n] for the operators whose operands start at argument `first`.
int64_t ProductFlops(const at::RecordFunction& call, size_t first, bool transposed) {
  const at::Tensor& a = call.inputs()[first].toTensor();
  const at::Tensor& b = call.inputs()[first + 1].toTensor();
  return 2 * a.numel() * (transposed ? b.size(0) : b.size(-1));
}

// Products that run at the moment: one may call another, which is then part of it.
int& Depth() {
  static int depth = 0;
  return depth;
}

struct InsideProduct : at::ObserverContext {};

std::unique_ptr<at::ObserverContext> Count(const at::RecordFunction& call) {
  const std::string name = call.name();
  int64_t flops = 0;
  if (name == "aten::mm" || name == "aten::bmm") {
    flops = ProductFlops(call, 0, false);
  } else if (name == "aten::addmm_" || name == "aten::baddbmm_" || name == "aten::addmm") {
    flops = ProductFlops(call, 1, false);
  } else if (name == "mkldnn::_linear_pointwise") {
    flops = ProductFlops(call, 0, true);
  } else {
    return nullptr;
  }
  if (Depth()++ == 0) Counts()[name] += flops;
  return std::make_unique<InsideProduct>();
}

void EndOfCall(const at::RecordFunction&, at::ObserverContext* product) {
  if (product != nullptr) --Depth();
}

// Counts from its construction to its end.
class Counting {
 public:
  Counting()
      : handle_(at::addThreadLocalCallback(at::RecordFunctionCallback(&Count, &EndOfCall)
                                               .needsInputs(true)
                                               .scopes({at::RecordScope::FUNCTION}))) {
    Counts().clear();
  }
  ~Counting() { at::removeCallback(handle_); }

  // Attention's scores and mix are batched products, one for each head; everything else is not.
  static int64_t Attention() { return Counts()["aten::bmm"] + Counts()["aten::baddbmm_"]; }
  static int64_t Linear() {
    int64_t sum = 0;
    for (const auto& [name, flops] : Counts()) sum += flops;
    return sum - Attention();
  }

 private:
  at::CallbackHandle handle_;
};

// A decoder on a batch, and what the table says of it.
class FlopsTest : public ::testing::TestWithParam<SmallCase> {
 protected:
  int64_t Tokens() const { return batch_.ids.size(0) * length_; }

  // Backward FLOPs of a token through a unit, without attention's scores and mix. By the formula
  // these cost 8 * keys * heads * head_dim, where a window of 9 leaves 9 keys.
  int64_t LinearOfTable(size_t unit) const {
    const Unit& row = table_.units[unit];
    if (row.kind != UnitKind::kAttention) return row.backward_flops;
    return row.backward_flops - by_key_ * (shape_.Window(row.layer) > 0 ? 9 : length_);
  }

  // What runs of scores and mix for a token: not the four products of their gradient, but a fifth
  // too, since scores are computed again instead of being kept; and all keys of a block of
  // positions, of which this sequence is one.
  int64_t AttentionThatRuns(size_t unit) const {
    return table_.units[unit].kind == UnitKind::kAttention ? by_key_ * length_ * 5 / 4 : 0;
  }

  // Nothing below the units is trained with adapters: the lowest kept unit leaves the gradient of
  // its input out.
  bool TrainsBelow() const { return virtual_tokens_ > 0 || GetParam().method == "full"; }

  // Counted FLOPs of the backward pass under masks: a step's less those of a forward pass.
  struct Flops {
    int64_t linear = 0;
    int64_t attention = 0;
  };
  Flops BackwardUnder(const std::vector<MaskRow>& rows) const {
    const auto loss = [&] {
      return decoder_->LossSum(decoder_->ForwardGroups(batch_.ids, {.rows = rows}), batch_.targets);
    };
    const Counting counting;
    {
      const at::NoGradGuard no_grad;
      loss();
    }
    const Flops forward = {Counting::Linear(), Counting::Attention()};
    loss().backward();
    return {Counting::Linear() - 2 * forward.linear, Counting::Attention() - 2 * forward.attention};
  }

  const std::unique_ptr<Decoder> decoder_ =
      SmallDecoder(SmallOptions(GetParam().method), GetParam().family);
  const SmallBatch batch_ = MakeBatch();
  const ModelShape shape_ = decoder_->config().shape;
  const int64_t virtual_tokens_ = GetParam().method == "prompt_tuning" ? 4 : 0;
  const int64_t length_ = batch_.ids.size(1) + virtual_tokens_;
  const int64_t by_key_ = 8 * shape_.attention_heads * shape_.head_dim;
  const LayerTable table_ =
      BuildLayerTable(shape_, SmallSpec(GetParam().method), batch_.ids.size(1)).value();
};

TEST_P(FlopsTest, BackwardOfEveryUnitCostsWhatTheTableSays) {
  const auto walk = decoder_->Walk(batch_.ids, batch_.targets, 1);
  BackwardWalk::Gradients gradients(decoder_->trainable().size());
  at::Tensor cotangent = walk->Top(gradients);
  for (size_t unit = table_.units.size(); unit-- > 0;) {
    const Counting counting;
    cotangent = walk->Through(static_cast<int>(unit), cotangent, gradients);
    if (unit == 0 && !TrainsBelow()) {
      EXPECT_LT(Counting::Linear(), Tokens() * LinearOfTable(unit));
    } else {
      EXPECT_EQ(Counting::Linear(), Tokens() * LinearOfTable(unit)) << "unit " << unit;
    }
    EXPECT_EQ(Counting::Attention(), Tokens() * AttentionThatRuns(unit)) << unit;
  }
}

// Two groups of one sequence; both keep unit 1, and none below it.
TEST_P(FlopsTest, AStepsBackwardCostsItsKeptUnitsAndTheHead) {
  constexpr size_t kLowest = 1;
  const std::vector<MaskRow> lowest(2, {false, true, false, false, false, false});
  const std::vector<MaskRow> rows = {{false, true, false, true, true, false},
                                     {false, true, true, false, true, true}};
  const int64_t head = batch_.targets.ne(-100).sum().item<int64_t>() * table_.head_backward_flops;
  const Flops least = BackwardUnder(lowest);
  const int64_t most = head + Tokens() * LinearOfTable(kLowest);
  if (TrainsBelow()) {
    EXPECT_EQ(least.linear, most);
  } else {
    EXPECT_LT(least.linear, most);
    EXPECT_GT(least.linear, head);
  }
  Flops expected = least;
  for (const MaskRow& row : rows) {
    for (size_t unit = kLowest + 1; unit < row.size(); ++unit) {
      if (!row[unit]) continue;
      expected.linear += length_ * LinearOfTable(unit);
      expected.attention += length_ * AttentionThatRuns(unit);
    }
  }
  const Flops found = BackwardUnder(rows);
  EXPECT_EQ(found.linear, expected.linear);
  EXPECT_EQ(found.attention, expected.attention);
}

TEST_P(FlopsTest, TheTableCountsWhatTheDecoderTrains) {
  const auto decoder =
      Decoder::Random(SmallConfig(GetParam().family), SmallOptions(GetParam().method)).value();
  const JobSpec spec = SmallSpec(GetParam().method);
  const LayerTable table = BuildLayerTable(decoder->config().shape, spec, 40).value();
  std::map<int, int64_t> elements;
  for (const TrainableParameter& parameter : decoder->trainable())
    elements[parameter.unit] += parameter.value.numel();
  EXPECT_EQ(elements[-1], table.fixed_trainable_elements);
  for (size_t unit = 0; unit < table.units.size(); ++unit)
    EXPECT_EQ(elements[static_cast<int>(unit)], table.units[unit].trainable_elements) << unit;
}

INSTANTIATE_TEST_SUITE_P(Families, FlopsTest, ::testing::ValuesIn(SmallCases()),
                         [](const auto& info) { return info.param.Name(); });

}  // namespace
}  // namespace dropbp::trainer
