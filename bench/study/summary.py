"""From the curves of a study to its tables. A curve is the list of lines that train_curve prints.

Definitions:
  final loss       the validation loss after the last step.
  seconds          time spent in training, sensitivity probes included, evaluation and loading excluded.
  loss at t        validation losses joined by straight lines over seconds; after its last step a run keeps its last.
  time to quality  the first t at which a run's loss at t is no more than a target: the final loss of the baseline's run
                   of the same seed, times 1 + tolerance. Applied alike to the baseline itself.
  gain             time to quality of the baseline over that of a variant, same seed.
Means over seeds come with 95 % intervals from Student's t; those of ratios are geometric, their intervals are of logs.
"""
import math
import statistics

# Student's t at 97.5 %, by degrees of freedom from 1.
T_975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
         2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042]
TOLERANCES = (0.0, 0.01)
SHARES = (0.25, 0.5, 0.75, 1.0)


def mean_and_half_width(values):
    """Mean and half of the 95 % interval; the half is None for one value."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    t = T_975[min(len(values) - 1, len(T_975)) - 1]
    return mean, t * statistics.stdev(values) / math.sqrt(len(values))


def ratio_and_interval(ratios):
    """Geometric mean and the ends of its 95 % interval (None for one value)."""
    mean, half = mean_and_half_width([math.log(ratio) for ratio in ratios])
    if half is None:
        return {"mean": math.exp(mean), "low": None, "high": None}
    return {"mean": math.exp(mean), "low": math.exp(mean - half), "high": math.exp(mean + half)}


def evaluations(curve):
    """(seconds, validation loss) in order."""
    return [(line["seconds"], line["loss"]) for line in curve if line["event"] == "eval"]


def final_loss(curve):
    return evaluations(curve)[-1][1]


def training_seconds(curve):
    return evaluations(curve)[-1][0]


def loss_at(curve, seconds):
    points = evaluations(curve)
    for (begin, high), (end, low) in zip(points, points[1:]):
        if seconds <= end:
            return high + (low - high) * (seconds - begin) / (end - begin) if end > begin else low
    return points[-1][1]


def time_to(curve, target):
    """None if the run never reaches it."""
    points = evaluations(curve)
    if points[0][1] <= target:
        return points[0][0]
    for (begin, before), (end, after) in zip(points, points[1:]):
        if after <= target:
            return begin + (end - begin) * (before - target) / (before - after)
    return None


def diverged(curve):
    return any(line["event"] == "diverged" for line in curve)


def steps_of(curve):
    return [line for line in curve if line["event"] == "step"]


def describe(curves, baselines):
    """One variant: `curves` by seed, `baselines` by seed."""
    seeds = [seed for seed in sorted(curves) if not diverged(curves[seed])]
    result = {"seeds": seeds, "diverged": [seed for seed in sorted(curves) if diverged(curves[seed])]}
    if not seeds:
        return result
    steps = [line for seed in seeds for line in steps_of(curves[seed])]
    loss, half = mean_and_half_width([final_loss(curves[seed]) for seed in seeds])
    result |= {
        "steps": len(steps_of(curves[seeds[0]])),
        "final_loss": loss, "final_loss_half_width": half,
        "training_seconds": statistics.fmean(training_seconds(curves[seed]) for seed in seeds),
        "tokens_per_second": sum(line["tokens"] for line in steps) / sum(training_seconds(curves[seed]) for seed in seeds),
        "dropped": statistics.fmean(line["dropped"] for line in steps),
    }
    paired = [seed for seed in seeds if seed in baselines and not diverged(baselines[seed])]
    if paired:
        result |= compare(curves, baselines, paired)
    return result


def compare(curves, baselines, seeds):
    more, half = mean_and_half_width([final_loss(curves[seed]) - final_loss(baselines[seed]) for seed in seeds])
    result = {"loss_above_baseline": more, "loss_above_baseline_half_width": half,
              "step_gain": ratio_and_interval([step_seconds(baselines[s]) / step_seconds(curves[s]) for s in seeds]),
              "time_to_quality": [], "loss_at_share": []}
    for tolerance in TOLERANCES:
        result["time_to_quality"].append(time_to_quality(curves, baselines, seeds, tolerance))
    for share in SHARES:
        mean, width = mean_and_half_width(
            [loss_at(curves[seed], share * training_seconds(baselines[seed])) for seed in seeds])
        result["loss_at_share"].append({"share": share, "loss": mean, "half_width": width})
    return result


def step_seconds(curve):
    return statistics.median(line["step_seconds"] for line in steps_of(curve))


def time_to_quality(curves, baselines, seeds, tolerance):
    gains, seconds = [], []
    for seed in seeds:
        target = final_loss(baselines[seed]) * (1 + tolerance)
        mine, theirs = time_to(curves[seed], target), time_to(baselines[seed], target)
        if mine:
            gains.append(theirs / mine)
            seconds.append(mine)
    result = {"tolerance": tolerance, "reached": len(gains), "of": len(seeds)}
    if gains:
        result |= {"seconds": statistics.fmean(seconds), "gain": ratio_and_interval(gains)}
    return result


def summarize(study, curves):
    """`curves[variant][seed]`; the order of variants is the study's."""
    baselines = curves.get(study["baseline"], {})
    return {"title": study["title"], "baseline": study["baseline"],
            "variants": {name: describe(curves[name], baselines) for name in study["variants"] if curves.get(name)}}


def number(value, digits):
    return "–" if value is None else f"{value:.{digits}f}"


def with_half(value, half, digits):
    return number(value, digits) + ("" if half is None else f" ± {half:.{digits}f}")


def interval(ratio, digits=2):
    if ratio["low"] is None:
        return number(ratio["mean"], digits)
    return f"{ratio['mean']:.{digits}f} ({ratio['low']:.{digits}f}–{ratio['high']:.{digits}f})"


def quality(entry):
    if not entry["reached"]:
        return f"not reached (0 of {entry['of']})"
    short = "" if entry["reached"] == entry["of"] else f", {entry['reached']} of {entry['of']}"
    return f"{interval(entry['gain'])}{short}"


def table(titles, rows):
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def main_row(name, variant):
    if not variant["seeds"]:
        return [name, "0", *["–"] * 8, f"diverged: {len(variant['diverged'])}"]
    gains = [quality(entry) for entry in variant.get("time_to_quality", [])] or ["–"] * len(TOLERANCES)
    return [name, str(len(variant["seeds"])), str(variant["steps"]), number(variant["dropped"], 3),
            number(variant["training_seconds"], 0), number(variant["tokens_per_second"], 0),
            interval(variant["step_gain"]) if "step_gain" in variant else "–",
            with_half(variant["final_loss"], variant["final_loss_half_width"], 4),
            with_half(variant.get("loss_above_baseline"), variant.get("loss_above_baseline_half_width"), 4), *gains]


def to_markdown(summary):
    base = summary["baseline"]
    titles = ["variant", "seeds", "steps", "dropped", "seconds", "tokens/s", "step gain", "final loss",
              f"above {base}", "time-to-quality gain", "within 1 %"]
    rows = [main_row(name, variant) for name, variant in summary["variants"].items()]
    shares = [[name, *[with_half(entry["loss"], entry["half_width"], 4) for entry in variant["loss_at_share"]]]
              for name, variant in summary["variants"].items() if "loss_at_share" in variant]
    return "\n".join([
        f"## {summary['title']}", "",
        f"Means over seeds with 95 % intervals; gains are over “{base}”, same seed. Definitions: bench/study/summary.py.", "",
        table(titles, rows), "",
        f"Validation loss when a share of the time that “{base}” trains for has passed:", "",
        table(["variant", *[f"{share:.0%}" for share in SHARES]], shares), ""])
