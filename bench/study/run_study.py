#!/usr/bin/env python3
"""Runs a study: every variant of a job with every seed, and writes tables of loss and time.

Runs of one seed take turns, a stretch between two evaluations each, so that a busy machine hurts all alike. A run whose
file is complete is not made again, so a study may be stopped at any time and started again with the same command.
Writes OUT/runs/VARIANT-seedSEED.jsonl, OUT/summary.json and OUT/summary.md (also on stdout)."""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import yaml

import summary

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Run:
    """One variant with one seed: a train_curve process, and the file its lines go to."""

    def __init__(self, name, settings, command, path):
        self.name, self.settings, self.command, self.path = name, settings, command, path
        self.partial = path.with_suffix(".partial")
        self.log = path.with_suffix(".log")
        self.process = None
        self.ended = False

    def is_complete(self):
        if not self.path.exists():
            return False
        with open(self.path, encoding="utf-8") as lines:
            found = json.loads(next(lines))["settings"]
        if found != self.settings:
            changed = sorted(key for key in found.keys() | self.settings.keys() if found.get(key) != self.settings.get(key))
            sys.exit(f"{self.path}: was made with other settings ({', '.join(changed)}); use another --out, or delete it")
        return True

    def start(self):
        self.out = open(self.partial, "w", encoding="utf-8")
        self.write({"event": "run", "name": self.name, "settings": self.settings})
        # Threads that wait for their turn must not spin.
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=open(self.log, "w", encoding="utf-8"),
                                        env=os.environ | {"OMP_WAIT_POLICY": "passive"})
        self.read_until("eval")

    def write(self, line):
        self.out.write(json.dumps(line) + "\n")

    def read_until(self, event):
        for text in self.process.stdout:
            line = json.loads(text)
            self.write(line)
            if line["event"] == "start":
                self.total_steps = line["total_steps"]
            if line["event"] == event:
                return line
        return self.stopped()

    def stopped(self):
        code = self.process.wait()
        messages = self.log.read_text(encoding="utf-8").splitlines()
        if "are not finite" not in "\n".join(messages[-3:]):
            sys.exit(f"{self.name}: train_curve ended with exit code {code}:\n" + "\n".join(messages[-5:]))
        self.write({"event": "diverged"})
        self.finish()
        return None

    def turn(self):
        """Trains up to the next evaluation."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.read_until("eval")
        if line and line["step"] == self.total_steps and self.read_until("end"):
            self.process.stdin.close()
            self.process.wait()
            self.finish()

    def finish(self):
        self.out.close()
        self.partial.rename(self.path)
        self.log.unlink()
        self.ended = True

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def base_of(study, job):
    """The study's settings over those of its job file, as far as factors need them."""
    training = job.get("training", {})
    base = {f"training.{key}": training[key] for key in ("learning_rate", "steps") if key in training}
    return base | {key: value for key, value in study.get("set", {}).items() if key in ("training.learning_rate", "training.steps")}


def settings_of(study, job, variant, seed):
    """field -> value for --set. `learning_rate_factor` and `steps_factor` multiply what the study starts from."""
    fields = dict(study.get("set", {})) | dict(variant or {}) | {"training.seed": seed}
    base = base_of(study, job)
    for factor, field in (("learning_rate_factor", "training.learning_rate"), ("steps_factor", "training.steps")):
        if factor in fields:
            if field not in base:
                sys.exit(f"{factor}: {field} is neither in the study's `set` nor in its job file")
            value = base[field] * fields.pop(factor)
            fields[field] = round(value) if field == "training.steps" else value
    return fields


def as_text(value):
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def make_run(args, study, job, name, seed):
    fields = settings_of(study, job, study["variants"][name], seed)
    settings = {key: as_text(value) for key, value in fields.items()} | {
        "job": study["job"], "train": pathlib.Path(args.train).name, "eval": pathlib.Path(args.eval).name,
        "model": pathlib.Path(args.model).name, "threads": args.threads, "eval_every": study["eval_every"],
        "eval_samples": study.get("eval_samples", 0)}
    command = [os.path.join(args.bin_dir, "train_curve"), "--paced", "--job", str(ROOT / study["job"]),
               "--model", args.model, "--train", args.train, "--eval", args.eval, "--threads", str(args.threads),
               "--eval-every", str(study["eval_every"]), "--eval-samples", str(study.get("eval_samples", 0))]
    for key, value in fields.items():
        command += ["--set", f"{key}={as_text(value)}"]
    file = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    return Run(f"{name}, seed {seed}", settings, command, pathlib.Path(args.out) / "runs" / f"{file}-seed{seed}.jsonl")


def take_turns(runs):
    """All runs to their ends; who goes first changes from round to round."""
    begin = time.monotonic()
    try:
        for run in runs:
            run.start()
        turn = 0
        while going := [run for run in runs if not run.ended]:
            for i in range(len(going)):
                going[(turn + i) % len(going)].turn()
            turn += 1
    finally:
        for run in runs:
            run.kill()
    print(f"{time.monotonic() - begin:6.0f} s  {'; '.join(run.name for run in runs)}", file=sys.stderr)


def read_curves(runs):
    curves = {}
    for (name, seed), run in runs.items():
        if run.is_complete():
            with open(run.path, encoding="utf-8") as lines:
                curves.setdefault(name, {})[seed] = [json.loads(line) for line in lines][1:]
    return curves


def write_summary(study, runs, out):
    result = summary.summarize(study, read_curves(runs))
    (out / "summary.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / "summary.md").write_text(summary.to_markdown(result), encoding="utf-8")
    return summary.to_markdown(result)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="YAML file, see bench/study/studies/")
    parser.add_argument("--train", required=True, help="JSONL file to train on")
    parser.add_argument("--eval", required=True, help="JSONL file of the validation loss")
    parser.add_argument("--out", required=True, help="folder for curves and tables")
    parser.add_argument("--model", default=str(ROOT / "build" / "models" / "smollm2-135m-instruct"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--at-once", type=int, default=4, help="runs that take turns, each holding a model in memory")
    parser.add_argument("--variants", help="only these, comma-separated")
    parser.add_argument("--seeds", help="only these, comma-separated")
    parser.add_argument("--summary-only", action="store_true", help="makes no run")
    parser.add_argument("--bin-dir", default=str(ROOT / "build" / "release" / "bin"))
    return parser.parse_args()


def main():
    args = parse_args()
    study = yaml.safe_load(pathlib.Path(args.study).read_text(encoding="utf-8"))
    job = yaml.safe_load((ROOT / study["job"]).read_text(encoding="utf-8"))
    names = args.variants.split(",") if args.variants else list(study["variants"])
    if unknown := [name for name in names if name not in study["variants"]]:
        sys.exit(f"--variants: found {', '.join(unknown)}, legal is {', '.join(study['variants'])}")
    seeds = [int(seed) for seed in args.seeds.split(",")] if args.seeds else study["seeds"]
    out = pathlib.Path(args.out)
    (out / "runs").mkdir(parents=True, exist_ok=True)
    # Also runs that are not asked for now belong to the tables, where they are complete.
    runs = {(name, seed): make_run(args, study, job, name, seed)
            for name in study["variants"] for seed in sorted(set(study["seeds"]) | set(seeds))}
    for seed in [] if args.summary_only else seeds:
        waiting = [runs[name, seed] for name in names if not runs[name, seed].is_complete()]
        for begin in range(0, len(waiting), args.at_once):
            take_turns(waiting[begin:begin + args.at_once])
            write_summary(study, runs, out)
    print(write_summary(study, runs, out))


if __name__ == "__main__":
    main()
