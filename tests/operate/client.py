"""`dropbp` in a small language for tests."""
import json

from sandbox import wait_until
from tiny_job import write_tiny_job

SECONDS_TO_TRAIN = 120


class Client:
    """`run(words)` runs the program, on whatever machine, and returns what subprocess.run does, with text."""

    def __init__(self, run):
        self.run = run

    def __call__(self, *words):
        done = self.run(["dropbp", *words])
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def job(self, name):
        return json.loads(self("get", name, "--output", "json"))

    def workers(self):
        return json.loads(self("workers", "--output", "json")).get("workers", [])

    def wait_for_workers(self, count):
        wait_until(30, lambda: sum(worker["connected"] for worker in self.workers()) == count, f"{count} workers")

    def submit(self, name, folder, steps, ranks=1, seen_as=None):
        """`folder` takes job and data; the client sees it as `seen_as`."""
        write_tiny_job(folder, steps, ranks)
        self("submit", "-f", f"{seen_as or folder}/job.yaml", "--name", name)

    def wait_for(self, name, condition, what):
        """The job, once it is so."""
        def met():
            job = self.job(name)
            assert job["state"] not in ("FAILED", "CANCELLED"), job
            return condition(job) and job
        return wait_until(SECONDS_TO_TRAIN, met, f"{name}: {what}")

    def wait_for_step(self, name, step, attempt=1):
        return self.wait_for(name, lambda job: int(job["attempt"]) >= attempt and step_of(job) >= step, f"step {step}")


def step_of(job):
    return int(job.get("progress", {}).get("step", 0))
