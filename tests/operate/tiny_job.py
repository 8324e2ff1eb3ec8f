"""The small random model that other tests make too, and a job on it."""
import pathlib
import subprocess
import tempfile

from repository import MODELS, ORACLES, ROOT

JOB = """
model: tiny
dtype: fp32
dataset: {{file: data.jsonl, max_length: 64}}
lora: {{rank: 4, alpha: 8}}
training: {{steps: {steps}, global_batch_size: 4, micro_batch_size: 2}}
resources: {{ranks: {ranks}, device: cpu}}
"""
DATA = "".join(f'{{"prompt": "number {i}", "completion": "value {i}"}}\n' for i in range(64))


def make_tiny_model():
    """The model's folder; made unless it is there."""
    folder = MODELS / "tiny"
    if not (folder / "config.json").exists():
        with tempfile.TemporaryDirectory(dir=MODELS) as made:
            subprocess.run([ORACLES / "bin/python", ROOT / "tests/support/make_tiny_model.py", f"{made}/tiny"],
                           check=True)
            pathlib.Path(made, "tiny").rename(folder)
    return folder


def write_tiny_job(folder, steps, ranks=1):
    """job.yaml and its data.jsonl."""
    (folder / "job.yaml").write_text(JOB.format(ranks=ranks, steps=steps))
    (folder / "data.jsonl").write_text(DATA)
