#include "worker/hf/layer_windows.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace dropbp::hf {
namespace {

using nlohmann::json;

constexpr int64_t kMaxWindow = int64_t{1} << 32;
constexpr int64_t kMaxLayers = 4096;

// layer_types of config.json: for each layer whether it has a window. Empty if there are none.
std::vector<bool> ReadLayerTypes(int64_t layers, ConfigFields& fields) {
  const json* types = fields.Find("layer_types");
  if (types == nullptr) return {};
  std::vector<bool> windowed;
  if (types->is_array() && static_cast<int64_t>(types->size()) == layers) {
    for (const json& type : *types) {
      if (type != "full_attention" && type != "sliding_attention") break;
      windowed.push_back(type == "sliding_attention");
    }
  }
  if (static_cast<int64_t>(windowed.size()) == layers) return windowed;
  fields.Fail("layer_types", *types,
              absl::StrCat("a list of num_hidden_layers = ", layers,
                           " times full_attention or sliding_attention"));
  return {};
}

// The rule of the family, for files without layer_types.
std::vector<bool> ByRule(const ModelFamily& family, int64_t layers, bool in_use,
                         ConfigFields& fields) {
  std::vector<bool> windowed(layers);
  const std::vector<bool> rotated = ReadRotatedLayers(family, layers, fields);
  const int64_t upper = fields.Int("max_window_layers", 28, 0, int64_t{1} << 16);
  const int64_t pattern =
      family.reads_window_pattern
          ? fields.Int("sliding_window_pattern", family.window_pattern, 1, kMaxLayers)
          : family.window_pattern;
  for (int64_t layer = 0; layer < layers; ++layer) {
    switch (family.windows) {
      case WindowRule::kNever:
        break;
      case WindowRule::kEveryLayer:
        windowed[layer] = in_use;
        break;
      case WindowRule::kUpperLayers:
        windowed[layer] = in_use && layer >= upper;
        break;
      case WindowRule::kPattern:
        windowed[layer] = (layer + 1) % pattern != 0;
        break;
      case WindowRule::kLayersWithoutRope:
        windowed[layer] = in_use && !rotated.empty() && !rotated[layer];
        break;
    }
  }
  return windowed;
}

// sliding_window, 0 if it is null or switched off.
int64_t ReadWindowSize(const ModelFamily& family, ConfigFields& fields) {
  const int64_t if_missing = fields.Has("sliding_window") ? 0 : family.sliding_window;
  const int64_t size = fields.Int("sliding_window", if_missing, 1, kMaxWindow);
  const bool switched = family.windows == WindowRule::kUpperLayers ||
                        family.windows == WindowRule::kLayersWithoutRope;
  return switched && !fields.Bool("use_sliding_window", false) ? 0 : size;
}

}  // namespace

std::vector<int64_t> ReadWindows(const ModelFamily& family, int64_t layers, ConfigFields& fields) {
  if (family.windows == WindowRule::kNever) fields.Absent("sliding_window", "null");
  const bool by_layer =
      family.windows != WindowRule::kNever && family.windows != WindowRule::kEveryLayer;
  if (!by_layer) {
    fields.Absent("layer_types", absl::StrCat("null for model_type ", family.model_type));
  }
  const int64_t size = ReadWindowSize(family, fields);
  std::vector<bool> windowed = ReadLayerTypes(layers, fields);
  if (windowed.empty()) windowed = ByRule(family, layers, size > 0, fields);
  if (std::count(windowed.begin(), windowed.end(), true) == 0) return {};
  if (size == 0) {
    fields.Fail("sliding_window is null or not in use, but layers are sliding_attention");
    return {};
  }
  std::vector<int64_t> windows(layers);
  for (int64_t layer = 0; layer < layers; ++layer) windows[layer] = windowed[layer] ? size : 0;
  return windows;
}

std::vector<bool> ReadRotatedLayers(const ModelFamily& family, int64_t layers,
                                    ConfigFields& fields) {
  if (family.windows != WindowRule::kLayersWithoutRope) return {};
  std::vector<bool> rotated(layers);
  const json* list = fields.Find("no_rope_layers");
  const int64_t interval = fields.Int("no_rope_layer_interval", 4, 1, kMaxLayers);
  for (int64_t layer = 0; layer < layers && list == nullptr; ++layer)
    rotated[layer] = (layer + 1) % interval != 0;
  if (list == nullptr) return rotated;
  const auto legal = [](const json& item) { return item == 0 || item == 1; };
  if (!list->is_array() || static_cast<int64_t>(list->size()) < layers ||
      !std::all_of(list->begin(), list->end(), legal)) {
    fields.Fail("no_rope_layers", *list,
                absl::StrCat("a list of 0 and 1, one for each of the ", layers, " layers"));
    return {};
  }
  for (int64_t layer = 0; layer < layers; ++layer) rotated[layer] = (*list)[layer] == 1;
  return rotated;
}

}  // namespace dropbp::hf
