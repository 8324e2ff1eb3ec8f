#include "worker/trainer/checkpoint/checkpoint_reader.h"

#include <ATen/ATen.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/checkpoint/manifest.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/model/tensor_views.h"

namespace dropbp::trainer {
namespace {

using Tensors = std::map<std::string, hf::TensorView>;

// The parts of one checkpoint, whose hashes were checked.
struct OpenCheckpoint {
  std::vector<std::shared_ptr<const hf::SafetensorsFile>> files;  // by rank
  Tensors tensors;                                                // of parameters, over all parts
};

absl::Status Illegal(const std::string& folder, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("checkpoint ", folder, ": ", what));
}

absl::StatusOr<OpenCheckpoint> OpenParts(const std::string& folder,
                                         const CheckpointManifest& manifest) {
  RETURN_IF_ERROR(VerifyParts(folder, manifest));
  OpenCheckpoint open;
  for (const CheckpointPart& part : manifest.parts) {
    ASSIGN_OR_RETURN(auto file, hf::SafetensorsFile::Open(absl::StrCat(folder, "/", part.file)));
    RETURN_IF_ERROR(Annotate(CheckPartVersion(*file), absl::StrCat(folder, "/", part.file)));
    const auto identity = file->metadata().find("identity");
    if (identity == file->metadata().end() || identity->second != manifest.identity) {
      return Illegal(folder, absl::StrCat(part.file, " belongs to another job"));
    }
    for (const auto& [name, view] : file->tensors()) {
      if (IsOfPartState(name)) continue;
      if (!open.tensors.emplace(name, view).second) {
        return Illegal(folder, absl::StrCat(name, " is in two parts"));
      }
    }
    open.files.push_back(std::move(file));
  }
  return open;
}

// Totals are each rank's own.
bool SameMoment(const PartState& a, const PartState& b) {
  return a.next_step == b.next_step && a.plan_version == b.plan_version &&
         a.non_finite == b.non_finite && a.sensitivities == b.sensitivities &&
         a.evaluated_step == b.evaluated_step && a.best == b.best;
}

// The state that all parts agree on, with the totals and the history of `rank`.
absl::StatusOr<TrainingState> JoinStates(const std::string& folder, const OpenCheckpoint& open,
                                         const CheckpointManifest& manifest, int rank) {
  TrainingState joined;
  for (size_t i = 0; i < open.files.size(); ++i) {
    const absl::StatusOr<PartState> state =
        ReadPartState(open.files[i]->tensors(), manifest, static_cast<int>(i));
    if (!state.ok()) return Annotate(state.status(), folder + "/" + manifest.parts[i].file);
    if (i == 0) {
      static_cast<PartState&>(joined) = *state;
      continue;
    }
    joined.totals.backward_flops_done += state->totals.backward_flops_done;
    joined.totals.backward_flops_saved += state->totals.backward_flops_saved;
    if (!SameMoment(*state, joined)) return Illegal(folder, "its parts are not of one moment");
  }
  if (rank != 0) {
    joined.totals = {};
    joined.history = {};
  }
  return joined;
}

struct Place {
  std::string name;
  at::Tensor to;
  bool wanted = true;  // false: `to` only has the shape
};

// Where values of the best evaluation belong, if the checkpoint has any: rank 0 keeps them.
void AddBestPlaces(const std::vector<TrainableParameter>& parameters, const Tensors& tensors,
                   int rank, TrainingState& state, std::vector<Place>& places) {
  if (parameters.empty() || !tensors.contains(BestValueName(parameters[0].name))) return;
  for (const TrainableParameter& parameter : parameters) {
    Place place = {BestValueName(parameter.name), parameter.value, /*wanted=*/rank == 0};
    if (place.wanted) {
      place.to = state.best_values[parameter.name] =
          at::empty(parameter.value.sizes(), parameter.value.scalar_type());
    }
    places.push_back(std::move(place));
  }
}

// Where every other tensor of the checkpoint belongs.
std::vector<Place> PlacesOf(const std::vector<TrainableParameter>& parameters, AdamW& optimizer) {
  std::vector<Place> places;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i].name;
    const AdamW::State& moments = optimizer.states()[i];
    places.push_back({ValueName(name), parameters[i].value});
    places.push_back({FirstMomentName(name), moments.first_moment});
    places.push_back({SecondMomentName(name), moments.second_moment});
    places.push_back({UpdatesName(name), moments.step});
  }
  return places;
}

absl::Status CheckPlaces(const std::string& folder, const std::vector<Place>& places,
                         const Tensors& tensors) {
  for (const auto& [name, to, wanted] : places) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) return Illegal(folder, absl::StrCat("it lacks ", name));
    if (FloatingType(found->second.type) != to.scalar_type() ||
        to.sizes() != at::IntArrayRef(found->second.shape)) {
      return Illegal(
          folder, absl::StrCat(name, " has the shape [", absl::StrJoin(found->second.shape, ", "),
                               "] or type of another model"));
    }
  }
  if (places.size() == tensors.size()) return absl::OkStatus();
  return Illegal(
      folder, absl::StrCat("it holds ", tensors.size(), " tensors, the job has ", places.size()));
}

// All or nothing: only if each tensor has its place, and each place its tensor.
absl::Status Fill(const std::string& folder, const std::vector<Place>& places,
                  const Tensors& tensors) {
  RETURN_IF_ERROR(CheckPlaces(folder, places, tensors));
  const at::NoGradGuard no_grad;
  for (const auto& [name, to, wanted] : places) {
    if (wanted) at::Tensor(to).copy_(BorrowTensor(tensors.at(name)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrainingState> LoadCheckpoint(const std::string& folder, const std::string& identity,
                                             int rank,
                                             const std::vector<TrainableParameter>& parameters,
                                             AdamW& optimizer) {
  ASSIGN_OR_RETURN(const CheckpointManifest manifest, ReadManifest(folder));
  if (manifest.identity != identity) {
    return absl::FailedPreconditionError(
        absl::StrCat("checkpoint ", folder, ": found a job with identity ", manifest.identity,
                     ", this one has ", identity, ": it trains another model, data or way"));
  }
  ASSIGN_OR_RETURN(const OpenCheckpoint open, OpenParts(folder, manifest));
  ASSIGN_OR_RETURN(TrainingState state, JoinStates(folder, open, manifest, rank));
  std::vector<Place> places = PlacesOf(parameters, optimizer);
  AddBestPlaces(parameters, open.tensors, rank, state, places);
  RETURN_IF_ERROR(Fill(folder, places, open.tensors));
  return state;
}

absl::StatusOr<PartState> LoadCheckpointValues(const std::string& folder,
                                               const std::vector<TrainableParameter>& parameters,
                                               CheckpointValues which) {
  ASSIGN_OR_RETURN(const CheckpointManifest manifest, ReadManifest(folder));
  ASSIGN_OR_RETURN(OpenCheckpoint open, OpenParts(folder, manifest));
  ASSIGN_OR_RETURN(PartState state, JoinStates(folder, open, manifest, /*rank=*/0));
  const bool best = which == CheckpointValues::kBest;
  const auto name_of = best ? BestValueName : ValueName;
  std::erase_if(open.tensors,
                [&](const auto& tensor) { return !absl::StartsWith(tensor.first, name_of("")); });
  if (best && open.tensors.empty()) {
    return Illegal(folder,
                   "it has no weights of a best evaluation; a job with evaluation.result: best "
                   "keeps them, once it was evaluated on held-out samples");
  }
  std::vector<Place> places;
  for (const TrainableParameter& parameter : parameters)
    places.push_back({name_of(parameter.name), parameter.value});
  RETURN_IF_ERROR(Fill(folder, places, open.tensors));
  return state;
}

}  // namespace dropbp::trainer
