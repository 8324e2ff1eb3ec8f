"""Runs the service of docker/compose.yaml from built images: trains a job, then stops one program after the other.

Not in CTest, since images need an engine and Debian's and PyPI's packages to build (docs/operate.md).
usage: build/oracles/bin/python tests/operate/run_images.py docker|podman
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from client import Client, step_of
from containers import services
from repository import VERSION
from sandbox import wait_until
from tiny_job import make_tiny_model, write_tiny_job

NAMES = ["coordinator", "worker-1", "worker-2"]


class Engine:
    """docker or podman; containers are named dropbp-check-<service>, and volumes are theirs alone."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def __call__(self, *words):
        return subprocess.run([self.program, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def inspect(self, name, field):
        return json.loads(self("inspect", "--type", "container", "--format", "{{json %s}}" % field, f"dropbp-check-{name}"))

    def exec(self, name, words):
        return subprocess.run([self.program, "exec", f"dropbp-check-{name}", *words], capture_output=True, text=True, check=False)

    def start(self, name):
        """As compose starts the service, but with no network outside of the coordinator's loopback."""
        service = services()[name]
        words = [word for path in service["tmpfs"] for word in ("--tmpfs", path)]
        words += [word for drop in service["cap_drop"] for word in ("--cap-drop", drop)]
        words += [word for option in service["security_opt"] for word in ("--security-opt", option)]
        words += ["--network", "none" if name == "coordinator" else "container:dropbp-check-coordinator"]
        for volume in service["volumes"]:
            path = volume.removesuffix(":ro").rsplit(":", 1)[1]
            words += ["--volume", f"{self.folder}{path}:{path}:ro" if volume.endswith(":ro") else path]
        assert service["read_only"]
        self("run", "--detach", "--name", f"dropbp-check-{name}", "--read-only", *words, service["image"], *service["command"])

    def stop(self, name):
        begun = time.monotonic()
        self("stop", "--time", services()[name]["stop_grace_period"].removesuffix("s"), f"dropbp-check-{name}")
        assert self.inspect(name, ".State.ExitCode") == 0, name
        print(f"{name}: stopped with exit code 0 after {time.monotonic() - begun:.1f} s")

    def remove(self):
        for name in reversed(NAMES):
            subprocess.run([self.program, "rm", "--force", "--volumes", f"dropbp-check-{name}"], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_until_healthy(engine, name):
    kind, *command = engine.inspect(name, ".Config.Healthcheck.Test")
    assert kind == "CMD"
    wait_until(30, lambda: engine.exec(name, command).returncode == 0, f"{name} is healthy")


def check(engine, jobs):
    for name in NAMES:
        engine.start(name)
        wait_until_healthy(engine, name)
        assert engine.exec(name, ["id", "-u"]).stdout == "10001\n"
        assert engine.exec(name, ["cat", "/proc/1/comm"]).stdout == "tini\n"
    dropbp = Client(lambda words: engine.exec("coordinator", words))
    dropbp.wait_for_workers(2)

    dropbp.submit("gang", jobs, steps=6, ranks=2, seen_as="/jobs")
    assert dropbp("wait", "gang") == "SUCCEEDED\n"
    print("a job of two ranks, one in each worker: SUCCEEDED")

    dropbp.submit("moved", jobs, steps=100000, seen_as="/jobs")
    left = dropbp.wait_for_step("moved", 3)["workers"][0]
    engine.stop(left)
    job = dropbp.wait_for_step("moved", 1, attempt=2)
    print(f"a job that lost {left}: attempt {job['attempt']} on {job['workers'][0]}, {job['restarts']} restarts charged, "
          f"step {step_of(job)}")
    for name in (job["workers"][0], "coordinator"):
        engine.stop(name)


def main():
    program = sys.argv[1]
    for target in ("coordinator", "worker-cpu"):
        size = subprocess.run([program, "image", "inspect", "--format", "{{.Size}}", f"dropbp-{target}:{VERSION}"], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        print(f"dropbp-{target}: {int(size) / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory(prefix="dropbp-images-") as name:
        folder = pathlib.Path(name)
        shutil.copytree(make_tiny_model(), folder / "models/tiny")
        (folder / "jobs").mkdir()
        write_tiny_job(folder / "jobs", steps=6)
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)  # the images' user is nobody here
        engine = Engine(program, folder)
        try:
            check(engine, folder / "jobs")
        finally:
            engine.remove()


if __name__ == "__main__":
    main()
