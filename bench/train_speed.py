#!/usr/bin/env python3
"""Tokens per second and memory of training, LoRA (rank 16, all linear modules), QLoRA and full fine-tuning: Hugging Face
PEFT (LoRA only) against ours at several drop rates, side by side in one run. Rounds are interleaved, so that a busy machine
hurts all alike; figures are medians over the rounds. Prints a table on stderr and JSON on stdout.

Columns: `limit` is the gain over drop rate 0 that counting FLOPs allows, `of limit` the share of it that was reached.
`held MiB` is what forward leaves for backward, `of rate 0` its share of that of rate 0, `of law` its share of
(1 - dropped) * held MiB of rate 0. `x LoRA` is QLoRA beside LoRA at the same drop rate. `step MiB` is the most that tensors
of a step take beyond the model's state, `law` what it would be with step MiB of rate 0 - dropped * held MiB of rate 0.
`peak MiB` is the resident set (allocated memory on a GPU). A name that ends in `ac` is of activation checkpointing; limit and
laws do not count that.

Masks are those of a job with the same settings. In most, every step costs the same. With one nested mask row a step, as
--methods full has by default (--allocation depth), steps differ and meet the plan over 8: one measurement is then 8 steps,
s/step, forward s and held MiB are their mean, step MiB and peak MiB the most of them, and there is no law for step MiB."""
import argparse
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Trainer:
    """One process that makes a training step whenever it is asked to."""

    def __init__(self, name, command):
        self.name = name
        # Threads of a process that waits for its turn must not spin.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | {"OMP_WAIT_POLICY": "passive"})
        self.about = self.read()
        self.steps = []
        self.memory = {}

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name}: ended early with exit code {self.process.wait()}")
        return json.loads(line)

    def step(self, request="step"):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def result(self):
        seconds = [step["seconds"] for step in self.steps]
        return {"name": self.name, **self.about, **self.memory, "steps": len(seconds),
                "tokens_per_second": self.about["tokens"] / statistics.median(seconds),
                "median_seconds": statistics.median(seconds), "min_seconds": min(seconds), "max_seconds": max(seconds),
                "forward_seconds": statistics.median(step["forward_seconds"] for step in self.steps),
                "peak_mib": max(step["peak_bytes"] for step in self.steps) / 2**20, "last_loss": self.steps[-1]["loss"]}


def commands(args):
    shared = ["--device", args.device, "--dtype", args.dtype, "--threads", str(args.threads), "--batch",
              str(args.batch), "--sequence", str(args.sequence), "--supervised", str(args.supervised)]
    shared += ["--shape", args.shape] if args.random_weights else ["--model", args.model]
    shared += ["--layers", str(args.layers)] if args.layers else []
    methods = args.methods.split(",")
    if "lora" in methods and not args.no_peft:
        yield "peft", [args.python, os.path.join(ROOT, "bench", "peft_train.py"), *shared]
    for method in methods:
        for rate in args.drop_rates.split(","):
            command = [os.path.join(args.bin_dir, "train_steps"), *shared, "--method", method,
                       "--allocation", args.allocation, "--mask-groups", str(args.mask_groups), "--drop-rate", rate]
            yield f"{method} {rate}", command
            if args.activation_checkpointing:
                yield f"{method} {rate} ac", [*command, "--activation-checkpointing"]


def measure(trainers, warmup, rounds):
    for count, keep in ((warmup, False), (rounds, True)):
        for _ in range(count):
            for trainer in trainers:
                step = trainer.step()
                if keep:
                    trainer.steps.append(step)
    for trainer in trainers:
        if trainer.name != "peft":
            step = trainer.step("memory")
            trainer.memory = {f"{key}_mib": step[f"{key}_bytes"] / 2**20 for key in ("held", "step_peak")}


def run(args):
    results = []
    if args.interleave:
        trainers = [Trainer(name, command) for name, command in commands(args)]
        measure(trainers, args.warmup, args.rounds)
        results = [trainer.result() for trainer in trainers]
        for trainer in trainers:
            trainer.close()
    else:
        for name, command in commands(args):
            trainer = Trainer(name, command)
            measure([trainer], args.warmup, args.rounds)
            results.append(trainer.result())
            trainer.close()
    return results


def compare(results):
    by_name = {result["name"]: result for result in results}
    for result in results:
        method = result["name"].split()[0]
        if "peft" in by_name and method == "lora":
            result["against_peft"] = result["tokens_per_second"] / by_name["peft"]["tokens_per_second"]
        if method == "qlora" and (lora := by_name.get(result["name"].removeprefix("q"))) is not None:
            result["against_lora"] = result["tokens_per_second"] / lora["tokens_per_second"]
        if (base := by_name.get(f"{method} 0")) is not None:
            compare_with_rate_0(result, base)


def compare_with_rate_0(result, base):
    result["gain"] = result["tokens_per_second"] / base["tokens_per_second"]
    result["held_share"] = result["held_mib"] / base["held_mib"]
    if result["name"].endswith(" ac"):
        return
    # How much of the possible gain was reached.
    if result["speed_limit"] > 1:
        result["share_of_limit"] = result["gain"] / result["speed_limit"]
    result["held_over_law"] = result["held_share"] / (1 - result["planned_drop_rate"])
    if result["window"] == 1:
        result["step_peak_law_mib"] = base["step_peak_mib"] - result["planned_drop_rate"] * base["held_mib"]


def table(results):
    columns = [("name", "", "s"), ("tokens/s", "tokens_per_second", ".0f"), ("s/step", "median_seconds", ".3f"),
               ("forward s", "forward_seconds", ".3f"), ("x PEFT", "against_peft", ".2f"), ("x LoRA", "against_lora", ".2f"), ("x rate 0", "gain", ".2f"),
               ("limit", "speed_limit", ".2f"), ("of limit", "share_of_limit", ".0%"),
               ("dropped", "planned_drop_rate", ".3f"), ("groups", "mask_groups", "d"),
               ("held MiB", "held_mib", ".0f"), ("of rate 0", "held_share", ".3f"),
               ("of law", "held_over_law", ".3f"), ("step MiB", "step_peak_mib", ".0f"), ("law", "step_peak_law_mib", ".0f"),
               ("peak MiB", "peak_mib", ".0f")]
    rows = [[title for title, _, _ in columns]]
    for result in results:
        values = [result.get(key or "name") for _, key, _ in columns]
        rows.append(["-" if value is None else format(value, form) for value, (_, _, form) in zip(values, columns)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    return "\n".join("  ".join(cell.rjust(width) if i else cell.ljust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))) for row in rows)


def native_dtype(device):
    """What a job's `dtype: auto` comes to for a bf16 model (worker/trainer/model/compute_options.cc)."""
    if device != "cpu":
        return "bf16"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        return "bf16" if " avx512_bf16" in info.read() else "fp32"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=os.path.join(ROOT, "build", "models", "smollm2-135m-instruct"))
    parser.add_argument("--random-weights", action="store_true", help="random weights of --shape instead of --model")
    parser.add_argument("--shape", choices=["smollm2-135m", "llama3-8b"], default="smollm2-135m")
    parser.add_argument("--layers", type=int, help="layers instead of the shape's own, for smaller machines")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto", choices=["auto", "bf16", "fp32"],
                        help="auto: bf16 where it is native, else fp32, as in a job")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=4, help="sequences")
    parser.add_argument("--sequence", type=int, default=256, help="tokens in a sequence")
    parser.add_argument("--supervised", type=float, default=1, help="share of each sequence that carries loss")
    parser.add_argument("--methods", default="lora", help="some of lora, qlora, full, with commas between")
    parser.add_argument("--drop-rates", default="0,.5,.75,.875")
    parser.add_argument("--allocation", default="depth", choices=["depth", "uniform"], help="dropbp.allocation of a job")
    parser.add_argument("--mask-groups", type=int, default=0,
                        help="groups of sequences with masks of their own; 0: as a job would choose")
    parser.add_argument("--activation-checkpointing", action="store_true", help="each of these with it as well")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-peft", action="store_true")
    parser.add_argument("--one-at-a-time", dest="interleave", action="store_false",
                        help="one process after the other, where memory does not hold all")
    parser.add_argument("--bin-dir", default=os.path.join(ROOT, "build", "release", "bin"))
    parser.add_argument("--python", default=os.path.join(ROOT, "build", "oracles", "bin", "python"))
    args = parser.parse_args()
    if args.dtype == "auto":
        args.dtype = native_dtype(args.device)
    results = run(args)
    compare(results)
    print(table(results), file=sys.stderr)
    settings = {key: value for key, value in vars(args).items() if key not in ("python", "bin_dir", "model")}
    print(json.dumps({"settings": settings, "results": results}, indent=1))


if __name__ == "__main__":
    main()
