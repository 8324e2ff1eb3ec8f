// How long a selective all-reduce takes over bucket sizes: two ranks on this machine, over Gloo.
#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <thread>

#include "bench/method_report/statistics.h"
#include "worker/trainer/collective/gradient_reducer.h"

namespace dropbp::trainer {
namespace {

struct Flags {
  std::string model;
  std::string method = "full";
  double drop_rate = 0;
  int rounds = 9;
  std::vector<int> mebibytes = {1, 4, 16, 64, 256};
};

// What one rank does: all bucket sizes take turns, so that a busy machine hurts all alike.
absl::Status RunRank(const Flags& flags, const std::vector<TrainableParameter>& model, int rank,
                     std::shared_ptr<RendezvousStore> store,
                     std::map<int, std::vector<double>>& seconds) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ProcessGroup> group,
                   MakeProcessGroup({.rank = rank, .world_size = 2}, std::move(store)));
  std::vector<TrainableParameter> parameters;
  int units = 0;
  for (const TrainableParameter& parameter : model) {
    parameters.push_back(
        {parameter.name, at::zeros_like(parameter.value).set_requires_grad(true), parameter.unit});
    units = std::max(units, parameter.unit + 1);
  }
  // Dropped units are spread evenly, the same ones on both ranks.
  std::vector<bool> live(units, true);
  for (int unit = 0; unit < units; ++unit) {
    live[unit] =
        static_cast<int>((unit + 1) * flags.drop_rate) == static_cast<int>(unit * flags.drop_rate);
  }
  for (int round = 0; round <= flags.rounds; ++round) {
    for (const int mebibytes : flags.mebibytes) {
      for (TrainableParameter& parameter : parameters) {
        parameter.value.mutable_grad() = at::ones_like(parameter.value.detach());
      }
      GradientReducer reducer(parameters, group.get(), int64_t{mebibytes} << 20);
      RETURN_IF_ERROR(group->Barrier());
      absl::Status status;
      const double taken = bench::SecondsOf([&] {
        status = reducer.Reduce(live);
        if (status.ok()) status = group->Barrier();
      });
      RETURN_IF_ERROR(status);
      if (round > 0) seconds[mebibytes].push_back(taken);
    }
  }
  return absl::OkStatus();
}

absl::Status Run(const Flags& flags) {
  at::set_num_threads(1);
  DecoderOptions options;
  options.method = flags.method;
  ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> decoder, Decoder::Load(flags.model, options));
  int64_t elements = 0;
  for (const TrainableParameter& parameter : decoder->trainable()) {
    elements += parameter.value.numel();
  }
  const auto store = MakeMemoryStore();
  std::map<int, std::vector<double>> seconds[2];
  absl::Status status[2];
  std::vector<std::thread> ranks;
  for (const int rank : {0, 1}) {
    ranks.emplace_back([&, rank] {
      status[rank] = RunRank(flags, decoder->trainable(), rank, store, seconds[rank]);
    });
  }
  for (std::thread& rank : ranks) rank.join();
  for (const absl::Status& one : status) RETURN_IF_ERROR(one);
  std::printf("%s, %.1f MiB of gradients, 2 ranks, medians of %d\n", flags.method.c_str(),
              static_cast<double>(elements) * 4 / (1 << 20), flags.rounds);
  std::printf("%-12s %s\n", "bucket MiB", "ms");
  for (const auto& [mebibytes, of_rank0] : seconds[0]) {
    std::printf("%-12d %.1f\n", mebibytes, bench::Median(of_rank0) * 1e3);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace dropbp::trainer

int main(int argc, char** argv) {
  CLI::App app("Times the all-reduce of a model's gradients over bucket sizes.");
  dropbp::trainer::Flags flags;
  app.add_option("--model", flags.model, "Hugging Face model folder")->required();
  app.add_option("--method", flags.method)->check(CLI::IsMember({"lora", "full"}));
  app.add_option("--drop-rate", flags.drop_rate, "share of the units that send nothing");
  app.add_option("--bucket-mib", flags.mebibytes)->delimiter(',');
  app.add_option("--rounds", flags.rounds);
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = dropbp::trainer::Run(flags); !status.ok()) {
    std::fprintf(stderr, "reduce_bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
}
