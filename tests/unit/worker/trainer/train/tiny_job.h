// A job small enough to train in milliseconds, and a way to train it on ranks that are threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "worker/data/dataset.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/train/trainer.h"

namespace dropbp::trainer {

inline constexpr int kTinyUnits = 6;
inline constexpr int kTinySteps = 6;

// A decoder of three blocks; LoRA of rank 4 in fp32; 6 steps of 8 sequences in micro-batches of 2;
// nothing dropped. Its allocation is uniform, not the default.
hf::ModelConfig TinyConfig();
// The same with everything that Gemma has besides.
hf::ModelConfig TinyGemmaConfig();
JobSpec TinySpec();

// Random samples of 5 to 12 tokens, the second half of each supervised.
std::vector<data::Sample> TinySamples(int count = 40);
// The same as the data of a job, in rows as it says.
data::TokenizedDataset TinyDataset(const JobSpec& spec = TinySpec(),
                                   std::vector<data::Sample> samples = TinySamples());

// The same random weights and adapters for the same spec. LoRA's B matrices are made nonzero, so
// that every gradient is.
std::unique_ptr<Decoder> TinyModel(const JobSpec& spec,
                                   const hf::ModelConfig& config = TinyConfig());

// FNV-1a 64 over the bits of all trainable parameters.
uint64_t WeightHash(const Decoder& model);

std::vector<at::Tensor> CopyWeights(const Decoder& model);
// Largest absolute difference.
double MaxDifference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b);

// What a job under test trains and is evaluated on.
struct TinyData {
  std::vector<data::Sample> samples = TinySamples();
  EvaluationSet evaluation_set = {};
};

// A request to stop may come late.
class TinyLink : public MemoryLink {
 public:
  using MemoryLink::MemoryLink;
  StopRequest stop_request() const override {
    return looks_before_stop-- > 0 ? StopRequest::kNone : stop;
  }
  mutable int64_t looks_before_stop = 0;  // stop_request() answers kNone so often first
};

// One rank of a job under test.
struct TinyRank {
  std::unique_ptr<TinyLink> link;
  std::unique_ptr<Decoder> model;
  std::unique_ptr<Trainer> trainer;
  std::vector<uint64_t> weight_hashes;  // after each step
};

// Trains on `world_size` ranks; `before_step` may look at and change a rank before each step,
// `edit` its assignment. Returns the ranks, with the
// status their run ended with in `statuses` if that is given (else it must be OK).
std::vector<TinyRank> TrainTiny(
    JobSpec spec, int world_size,
    const std::function<void(TinyRank&, ProcessGroup*)>& before_step = nullptr,
    std::vector<absl::Status>* statuses = nullptr,
    const std::function<void(Assignment&)>& edit = nullptr, const TinyData& data = {});

}  // namespace dropbp::trainer
