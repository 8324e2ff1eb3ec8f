// Rotary positions, as config.json describes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dropbp::hf {

// How the rotated part of each head turns with its position: pair i of rotary_dim / 2 by
// position * theta^(-2i / rotary_dim), scaled as `type` says.
struct RopeConfig {
  double theta = 10000;
  int64_t rotary_dim = 0;         // leading elements of each head that turn; 0: the whole head
  std::string type = "default";   // default | linear | llama3 | longrope
  double factor = 1;              // linear, llama3: what frequencies are divided by
  double low_freq_factor = 1;     // llama3
  double high_freq_factor = 4;    // llama3
  double original_positions = 0;  // llama3, longrope: positions of the pre-training
  std::vector<double> short_factors = {};  // longrope: divisors of each pair's frequency, up to
  std::vector<double> long_factors = {};   // original_positions positions, and for more
  double attention_factor = 1;             // longrope: cosines and sines are multiplied by it
};

}  // namespace dropbp::hf
