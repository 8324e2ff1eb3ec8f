"""Backing up and restoring the data folder as docs/operate.md tells: its commands, run on a real coordinator and worker."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from pod_sandbox import BIN, wait_until
from rendered import ROOT
from tiny_job import make_tiny_model, write_tiny_job


class Machine:
    """A coordinator and a worker with folders of their own."""

    def __init__(self, folder):
        self.folder, self.data, self.backup = folder, folder / "data", folder / "backup"
        self.address, self.coordinator, self.worker = "127.0.0.1:0", None, None
        (folder / "models").mkdir()
        shutil.copytree(make_tiny_model(), folder / "models/tiny")

    def _start(self, program, *words):
        log = open(self.folder / f"{program}.log", "ab")
        return subprocess.Popen([BIN / program, *words], stdout=log, stderr=log, cwd=self.folder)

    def start_coordinator(self):
        port_file = self.folder / "address"
        port_file.unlink(missing_ok=True)
        self.coordinator = self._start("dropbp-coordinator", "--data-dir", self.data, "--listen", self.address,
                                       "--metrics-listen", "", "--port-file", port_file)
        self.address = wait_until(30, lambda: port_file.exists() and port_file.read_text(), "a coordinator")

    def start_worker(self):
        self.worker = self._start("dropbp-worker", "--coordinator", self.address, "--models-dir", "models", "--device",
                                  "cpu", "--slots", "2", "--threads-per-slot", "1", "--worker-id", "w")

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    def close(self):
        for process in (self.worker, self.coordinator):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def dropbp(self, *words):
        return subprocess.run([BIN / "dropbp", *words, "--coordinator", self.address], capture_output=True, text=True,
                              check=False)

    def job(self, name):
        done = self.dropbp("get", name, "--output", "json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def submit(self, name, steps):
        write_tiny_job(self.folder, steps=steps)
        done = self.dropbp("submit", "-f", self.folder / "job.yaml", "--name", name)
        assert done.returncode == 0, done.stderr

    def wait_for(self, name, condition, what):
        def met():
            job = self.job(name)
            assert job["state"] not in ("FAILED", "CANCELLED"), job
            return condition(job) and job
        return wait_until(90, met, f"{name}: {what}")

    def run_commands(self, section):
        """The commands of a section of docs/operate.md. `systemctl` acts on this machine's processes."""
        text = (ROOT / "docs/operate.md").read_text().split(f"\n### {section}\n")[1].split("\n#")[0]
        commands = [line for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
        assert commands
        for command in commands:
            command = command.split(" #")[0].strip()
            service = re.fullmatch(r"systemctl (stop|start) dropbp-(coordinator|worker)", command)
            if service is None:
                command = command.replace("/var/backups/dropbp", str(self.backup)).replace("/var/lib/dropbp", str(self.data))
                done = subprocess.run(["bash", "-euc", command], capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{command}: {done.stderr}"
                assert "integrity_check" not in command or done.stdout == "ok\n", done.stdout
            elif service[1] == "stop":
                self.stop(getattr(self, service[2]))
            else:
                getattr(self, f"start_{service[2]}")()


@pytest.fixture
def machine():
    with tempfile.TemporaryDirectory(prefix="dropbp-backup-") as name:
        machine = Machine(pathlib.Path(name))
        try:
            machine.start_coordinator()
            yield machine
        finally:
            machine.close()


def step(job):
    return int(job.get("progress", {}).get("step", 0))


def test_a_backup_costs_running_jobs_no_step_and_a_restore_brings_its_day_back(machine):
    machine.start_worker()
    machine.submit("long", steps=100000)
    before = step(machine.wait_for("long", lambda job: step(job) > 2, "step 3"))

    machine.run_commands("Back up")
    machine.wait_for("long", lambda job: step(job) > before + 2, "more steps")
    assert int(machine.job("long")["attempt"]) == 1

    machine.submit("short", steps=3)
    machine.wait_for("short", lambda job: job["state"] == "SUCCEEDED", "the end")
    machine.run_commands("Restore")

    # What came after the backup is forgotten; what ran then runs again, as the next attempt.
    assert machine.dropbp("get", "short").returncode == 3
    machine.wait_for("long", lambda job: int(job["attempt"]) == 2 and step(job) > 0, "attempt 2")
    # The data set that came with the job is there with its content.
    artifact = machine.job("long")["spec"]["dataset"]["artifact"]
    stored = machine.data / "artifacts/sha256" / artifact[:2] / artifact
    assert stored.read_bytes() == (machine.folder / "data.jsonl").read_bytes()


def test_a_snapshot_of_the_running_folder_is_a_backup_too(machine):
    for number in range(20):
        machine.submit(f"job-{number}", steps=3)
    os.kill(machine.coordinator.pid, signal.SIGSTOP)  # nothing is written between two moments of the copy
    shutil.copytree(machine.data, machine.backup)
    os.kill(machine.coordinator.pid, signal.SIGCONT)
    assert (machine.backup / "jobs.db-wal").stat().st_size > 0
    machine.submit("later", steps=3)
    machine.stop(machine.coordinator)

    machine.data = machine.backup
    machine.start_coordinator()
    assert all(machine.job(f"job-{number}")["state"] == "QUEUED" for number in range(20))
    assert machine.job("later") is None


def test_another_program_cannot_copy_the_open_store(machine):
    done = subprocess.run(["sqlite3", machine.data / "jobs.db", f".backup {machine.folder}/copy.db"],
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "locked" in done.stderr
