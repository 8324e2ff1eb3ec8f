#include "client/plan_view.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "client/plots.h"
#include "client/table.h"
#include "core/base/format_bytes.h"

namespace dropbp::client {
namespace {

constexpr int kWidestUnitBar = 30;
constexpr int kNarrowestUnitBar = 8;
// Of a table of units, left of its bars.
constexpr int kUnitColumns = 62;
constexpr int kPlotHeight = 5;

std::string KindName(v1::UnitPlan::Kind kind) {
  return kind == v1::UnitPlan::ATTENTION ? "attention" : "mlp";
}

std::string BarOf(double share, const Sink& sink) {
  const int width = std::clamp(sink.Width() - kUnitColumns, kNarrowestUnitBar, kWidestUnitBar);
  std::string bar = Bar(share, width, sink.unicode);
  absl::StripTrailingAsciiWhitespace(&bar);
  return bar;
}

void AddRates(const v1::DropPlan& plan, Properties& table) {
  table.Add("drop rate",
            absl::StrFormat("asked %s, planned %s (%s)", FormatPercent(plan.target_drop_rate()),
                            FormatPercent(plan.planned_drop_rate()), plan.allocation()));
  table.Add("speed limit",
            absl::StrFormat("%.2fx of drop rate 0, from FLOPs alone", plan.speed_limit()));
  std::string masks = absl::StrFormat("%s, %d rows a step, %d for each micro-batch", plan.masks(),
                                      plan.rows(), plan.mask_groups());
  if (!plan.masks_reason().empty()) absl::StrAppend(&masks, " (", plan.masks_reason(), ")");
  table.Add("masks", masks);
  table.Add("estimator", plan.estimator());
  table.Add("dropped update", plan.dropped_update());
}

void PrintStages(const v1::DropPlan& plan, int in_force, const Sink& sink) {
  if (plan.stages_size() < 2) return;
  sink.stream << '\n';
  Table table({{"PLAN", Align::kRight},
               {"FROM STEP", Align::kRight},
               {"TARGET", Align::kRight},
               {"PLANNED", Align::kRight},
               {"PROBE"},
               {""}});
  for (const v1::PlanStage& stage : plan.stages()) {
    table.Add({absl::StrCat(stage.version()), absl::StrCat(stage.first_step()),
               FormatPercent(stage.target_drop_rate()),
               stage.has_planned_drop_rate() ? FormatPercent(stage.planned_drop_rate()) : "-",
               stage.probe() ? "before it" : "-", stage.version() == in_force ? "in force" : ""});
  }
  table.Print(sink);
  if (plan.stages_size() < plan.stage_count()) {
    sink.stream << plan.stages_size() << " of " << plan.stage_count() << " plans\n";
  }
}

// Of a plan that treats the units of a kind alike: one line for each kind.
void PrintKinds(const v1::DropPlan& plan, const Sink& sink) {
  sink.stream << '\n';
  Table table({{"UNITS", Align::kRight},
               {"KIND"},
               {"FLOPS/TOKEN", Align::kRight},
               {"DROP RATE", Align::kRight}});
  for (const v1::UnitPlan::Kind kind : {v1::UnitPlan::ATTENTION, v1::UnitPlan::MLP}) {
    const auto of_kind = [kind](const v1::UnitPlan& unit) { return unit.kind() == kind; };
    const auto first = std::find_if(plan.units().begin(), plan.units().end(), of_kind);
    if (first == plan.units().end()) continue;
    table.Add({absl::StrCat(std::count_if(first, plan.units().end(), of_kind)), KindName(kind),
               FormatCount(static_cast<double>(first->backward_flops())),
               absl::StrFormat("%.3f", first->drop_rate())});
  }
  table.Print(sink);
}

bool TreatsKindsAlike(const v1::DropPlan& plan) {
  return std::all_of(plan.units().begin(), plan.units().end(), [&](const v1::UnitPlan& unit) {
    const v1::UnitPlan& other = plan.units(unit.kind() == plan.units(0).kind() ? 0 : 1);
    return !unit.has_sensitivity() && unit.kind() == other.kind() &&
           unit.backward_flops() == other.backward_flops() && unit.drop_rate() == other.drop_rate();
  });
}

void PrintUnits(const v1::DropPlan& plan, const Sink& sink) {
  sink.stream << '\n';
  Table table({{"UNIT", Align::kRight},
               {"LAYER", Align::kRight},
               {"KIND"},
               {"FLOPS/TOKEN", Align::kRight},
               {"SENSITIVITY", Align::kRight},
               {"DROP RATE", Align::kRight},
               {""}});
  for (int u = 0; u < plan.units_size(); ++u) {
    const v1::UnitPlan& unit = plan.units(u);
    table.Add({absl::StrCat(u), absl::StrCat(unit.layer()), KindName(unit.kind()),
               FormatCount(static_cast<double>(unit.backward_flops())),
               unit.has_sensitivity() ? absl::StrFormat("%.3g", unit.sensitivity()) : "-",
               absl::StrFormat("%.3f", unit.drop_rate()),
               Cell(BarOf(unit.drop_rate(), sink), Colour::kBlue)});
  }
  table.Print(sink);
}

// One plot of the units of a kind, the first layer at the left.
void PrintPlot(const std::string& title, const std::vector<double>& values, double highest,
               const Sink& sink) {
  sink.stream << '\n' << title << '\n';
  for (const std::string& line : Columns(values, highest, kPlotHeight, sink.unicode)) {
    sink.stream << sink.Paint(Colour::kBlue, line) << '\n';
  }
}

void PrintPlots(const v1::DropPlan& plan, const Sink& sink) {
  for (const v1::UnitPlan::Kind kind : {v1::UnitPlan::ATTENTION, v1::UnitPlan::MLP}) {
    std::vector<double> rates;
    std::vector<double> sensitivities;
    for (const v1::UnitPlan& unit : plan.units()) {
      if (unit.kind() != kind) continue;
      rates.push_back(unit.drop_rate());
      if (unit.has_sensitivity()) sensitivities.push_back(unit.sensitivity());
    }
    PrintPlot(absl::StrCat("drop rate of ", KindName(kind), " by layer, 0 to 1"), rates, 1, sink);
    if (sensitivities.empty()) continue;
    const double highest = *std::max_element(sensitivities.begin(), sensitivities.end());
    PrintPlot(absl::StrFormat("sensitivity of %s by layer, 0 to %.3g", KindName(kind), highest),
              sensitivities, highest, sink);
  }
}

void PrintMemory(const v1::PlanJobResponse& plan, const Sink& sink) {
  sink.stream << '\n';
  Table table(
      {{"MEMORY OF A RANK"}, {"AT THIS RATE", Align::kRight}, {"AT RATE 0", Align::kRight}});
  const auto add = [&](const char* what, int64_t (v1::MemoryEstimate::*bytes)() const) {
    table.Add({what, FormatBytes((plan.memory().*bytes)()),
               FormatBytes((plan.memory_without_dropping().*bytes)())});
  };
  add("weights", &v1::MemoryEstimate::weights_bytes);
  add("trained, fp32", &v1::MemoryEstimate::trainable_bytes);
  add("optimizer", &v1::MemoryEstimate::optimizer_bytes);
  add("gradients", &v1::MemoryEstimate::gradient_bytes);
  add("activations", &v1::MemoryEstimate::activation_bytes);
  add("head", &v1::MemoryEstimate::head_bytes);
  add("peak", &v1::MemoryEstimate::peak_bytes);
  table.Print(sink);
}

}  // namespace

void PrintPlan(const v1::Job& job, const Sink& sink) {
  const v1::DropPlan& plan = job.plan();
  Properties summary;
  summary.Add("job", job.job_id());
  AddRates(plan, summary);
  summary.Add("in force", absl::StrFormat("plan %d of %d, from step %d", plan.version(),
                                          plan.stage_count(), plan.first_step()));
  summary.Add("schedule", plan.schedule());
  if (plan.has_probe_step()) {
    summary.Add("probe",
                absl::StrFormat("before step %d, %.2f s", plan.probe_step(), plan.probe_seconds()));
  }
  summary.Print(sink);
  PrintStages(plan, plan.version(), sink);
  PrintUnits(plan, sink);
  PrintPlots(plan, sink);
}

void PrintDryPlan(const v1::PlanJobResponse& plan, const Sink& sink) {
  Properties summary;
  summary.Add("model", plan.spec().model());
  summary.Add("parameters",
              absl::StrFormat("%s, trained %s", FormatCount(static_cast<double>(plan.parameters())),
                              FormatCount(static_cast<double>(plan.trainable_parameters()))));
  summary.Add("steps", plan.total_steps() > 0 ? absl::StrCat(plan.total_steps())
                                              : "as many as the data needs");
  AddRates(plan.plan(), summary);
  summary.Add("traffic", absl::StrFormat("%.3f of %s a step and rank", plan.traffic_factor(),
                                         FormatBytes(plan.dense_gradient_bytes())));
  const bool asked = plan.spec().dtype() == v1::JobSpec::FP32;
  summary.Add("number format", plan.dtype() == "fp32" && !asked
                                   ? "fp32, or bf16 where the worker's processor multiplies it"
                                   : plan.dtype());
  summary.Print(sink);
  PrintMemory(plan, sink);
  PrintStages(plan.plan(), /*in_force=*/0, sink);
  const bool alike = plan.plan().units_size() > 1 && TreatsKindsAlike(plan.plan());
  alike ? PrintKinds(plan.plan(), sink) : PrintUnits(plan.plan(), sink);
}

}  // namespace dropbp::client
