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

std::unique_ptr<at::ObserverContext> Count(const at::RecordFunction& call) {
  const std::string name = call.name();
  if (name == "aten::mm" || name == "aten::bmm") {
    Counts()[name] += ProductFlops(call, 0, false);
  } else if (name == "aten::addmm_" || name == "aten::baddbmm_" || name == "aten::addmm") {
    Counts()[name] += ProductFlops(call, 1, false);
  } else if (name == "mkldnn::_linear_pointwise") {
    Counts()[name] += ProductFlops(call, 0, true);
  }
  return nullptr;
}

// Counts from its construction to its end.
class Counting {
 public:
  Counting()
      : handle_(
            at::addThreadLocalCallback(at::RecordFunctionCallback(&Count).needsInputs(true).scopes(
                {at::RecordScope::FUNCTION}))) {
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

class FlopsTest : public ::testing::TestWithParam<SmallCase> {};

// Scores and mix cost 8 * keys * heads * head_dim by the formula: the four products of their
// gradient. What runs has a fifth, since scores are computed again instead of being kept. By the
// formula a window of 9 leaves 9 keys; what runs has all keys of a block of positions, of which
// this sequence is one.
TEST_P(FlopsTest, BackwardOfEveryUnitCostsWhatTheTableSays) {
  const std::string& method = GetParam().method;
  const auto decoder = SmallDecoder(SmallOptions(method), GetParam().family);
  const SmallBatch batch = MakeBatch();
  const ModelShape shape = decoder->config().shape;
  const JobSpec spec = SmallSpec(method);
  const int64_t virtual_tokens = method == "prompt_tuning" ? 4 : 0;
  const LayerTable table = BuildLayerTable(shape, spec, batch.ids.size(1)).value();
  const int64_t length = batch.ids.size(1) + virtual_tokens;
  const int64_t tokens = batch.ids.size(0) * length;
  const int64_t by_key = 8 * shape.attention_heads * shape.head_dim;

  const auto walk = decoder->Walk(batch.ids, batch.targets, 1);
  BackwardWalk::Gradients gradients(decoder->trainable().size());
  at::Tensor cotangent = walk->Top(gradients);
  for (int unit = static_cast<int>(table.units.size()) - 1; unit >= 0; --unit) {
    const Unit& row = table.units[unit];
    const bool attention = row.kind == UnitKind::kAttention;
    const Counting counting;
    cotangent = walk->Through(unit, cotangent, gradients);
    const int64_t keys = shape.Window(row.layer) > 0 ? 9 : length;
    const int64_t linear_of_table = row.backward_flops - (attention ? by_key * keys : 0);
    // Nothing below unit 0 is trained with adapters: its input's gradient is left out.
    if (unit == 0 && virtual_tokens == 0 && method != "full") {
      EXPECT_LT(Counting::Linear(), tokens * linear_of_table);
    } else {
      EXPECT_EQ(Counting::Linear(), tokens * linear_of_table) << "unit " << unit;
    }
    EXPECT_EQ(Counting::Attention(), attention ? tokens * by_key * length * 5 / 4 : 0) << unit;
  }
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
