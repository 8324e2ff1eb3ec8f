"""Backing up and restoring the data folder as docs/operate.md tells: its commands, run on a real coordinator and worker."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from client import Client, step_of
from repository import BIN, ROOT
from sandbox import wait_until
from tiny_job import make_tiny_model


class Machine:
    """A coordinator and a worker with folders of their own."""

    def __init__(self, folder):
        self.folder, self.data, self.backup = folder, folder / "data", folder / "backup"
        self.address, self.coordinator, self.worker = "127.0.0.1:0", None, None
        self.dropbp = Client(lambda words: subprocess.run(
            [BIN / words[0], *words[1:], "--coordinator", self.address], capture_output=True, text=True, check=False))
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


def test_a_backup_costs_running_jobs_no_step_and_a_restore_brings_its_day_back(machine):
    machine.start_worker()
    machine.dropbp.submit("long", machine.folder, steps=100000)
    before = step_of(machine.dropbp.wait_for_step("long", 3))

    machine.run_commands("Back up")
    assert int(machine.dropbp.wait_for_step("long", before + 3)["attempt"]) == 1

    machine.dropbp.submit("short", machine.folder, steps=3)
    assert machine.dropbp("wait", "short") == "SUCCEEDED\n"
    machine.run_commands("Restore")

    # What came after the backup is forgotten; what ran then runs again, as the next attempt.
    assert machine.dropbp.run(["dropbp", "get", "short"]).returncode == 3
    assert int(machine.dropbp.wait_for_step("long", 1, attempt=2)["attempt"]) == 2
    # The data set that came with the job is there with its content.
    artifact = machine.dropbp.job("long")["spec"]["dataset"]["artifact"]
    stored = machine.data / "artifacts/sha256" / artifact[:2] / artifact
    assert stored.read_bytes() == (machine.folder / "data.jsonl").read_bytes()


def test_a_snapshot_of_the_running_folder_is_a_backup_too(machine):
    for number in range(20):
        machine.dropbp.submit(f"job-{number}", machine.folder, steps=3)
    os.kill(machine.coordinator.pid, signal.SIGSTOP)  # nothing is written between two moments of the copy
    shutil.copytree(machine.data, machine.backup)
    os.kill(machine.coordinator.pid, signal.SIGCONT)
    assert (machine.backup / "jobs.db-wal").stat().st_size > 0
    machine.dropbp.submit("later", machine.folder, steps=3)
    machine.stop(machine.coordinator)

    machine.data = machine.backup
    machine.start_coordinator()
    assert all(machine.dropbp.job(f"job-{number}")["state"] == "QUEUED" for number in range(20))
    assert machine.dropbp.run(["dropbp", "get", "later"]).returncode == 3


def test_another_program_cannot_copy_the_open_store(machine):
    done = subprocess.run(["sqlite3", machine.data / "jobs.db", f".backup {machine.folder}/copy.db"],
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "locked" in done.stderr
