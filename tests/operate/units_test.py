"""The systemd units: sound by systemd's own tools, closed, and with programs that start and stop as the units say."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile

import pytest

from client import SECONDS_TO_TRAIN, Client
from repository import ROOT, SITE_PACKAGES, VERSION, pack
from sandbox import Program, bare_machine, run_in_new_network, variables, wait_until
from tiny_job import make_tiny_model

UNITS = ROOT / "deploy" / "systemd"
NAMES = ["dropbp-coordinator", "dropbp-worker"]
MOST_EXPOSED = {"dropbp-coordinator": 1.2, "dropbp-worker": 1.8}  # of systemd's 10


def settings(name):
    """[Service] as key -> values, in order."""
    found = {}
    for line in (UNITS / f"{name}.service").read_text().split("[Service]")[1].split("[Install]")[0].splitlines():
        if line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def only(name, key):
    (value,) = settings(name)[key]
    return value


def environment_file(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def machine(folder, user):
    """A machine whose /etc, /opt and /var/lib are folders here, for root or a service's user."""
    words = [*bare_machine(user, user), "--tmpfs", "/tmp", "--tmpfs", "/run"]
    for path in ("etc", "opt", "var/lib", "usr/local/bin"):
        (folder / path).mkdir(parents=True, exist_ok=True)
        words += ["--bind", str(folder / path), f"/{path}"]
    # What `pip install --target /opt/libtorch` leaves.
    return [*words, "--ro-bind", str(SITE_PACKAGES.resolve()), "/opt/libtorch", "--remount-ro", "/",
            *variables({"PATH": "/usr/local/bin:/usr/sbin:/usr/bin"})]


def run_on(folder, user, *command, more=()):
    return subprocess.run([*machine(folder, user), *more, "--", *command], capture_output=True, text=True, check=False,
                          timeout=SECONDS_TO_TRAIN)


@pytest.fixture(scope="module", name="folder")
def installed_machine():
    """A machine on which the first commands of docs/operate.md were run as root."""
    text = (ROOT / "docs/operate.md").read_text().split("\n## Install on machines")[1]
    commands = re.search(r"```\n(.*?)```", text, re.DOTALL).group(1)
    with tempfile.TemporaryDirectory(prefix="dropbp-units-") as name:
        folder = pathlib.Path(name)
        pack(folder)
        assert f"tar -C /opt -xzf dropbp-{VERSION}-linux-x86_64.tar.gz" in commands
        done = run_on(folder, 0, "bash", "-euc", commands, more=["--bind", name, "/tmp", "--chdir", "/tmp"])
        assert done.returncode == 0, done.stderr
        shutil.copytree(make_tiny_model(), folder / "var/lib/dropbp-models/tiny")
        (folder / "var/lib/dropbp").mkdir()
        (folder / "var/lib/dropbp-worker").mkdir()
        yield folder


def expand(command, values):
    """As systemd does: ${NAME} within a word, $NAME alone as as many words as it holds."""
    words = []
    for word in command.split():
        if word.startswith("$") and not word.startswith("${"):
            words += shlex.split(values[word[1:]])
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], word))
    return words


class Service(Program):
    """A unit's program, under tini: systemd's processes are not PID 1."""

    def __init__(self, folder, name):
        self.name = name
        values = {"STATE_DIRECTORY": f"/var/lib/{only(name, 'StateDirectory')}"}
        for path in settings(name).get("EnvironmentFile", []):
            values |= environment_file(folder / path[1:])
        super().__init__([*machine(folder, 990), *variables(values)],
                         ["tini", "--", *expand(only(name, "ExecStart"), values)], folder / f"{name}.log")

    def stop(self):
        return super().stop(int(only(self.name, "TimeoutStopSec")))


@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_nothing_wrong_with_it(folder, name):
    done = run_on(folder, 0, "systemd-analyze", "verify", f"/etc/systemd/system/{name}.service")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_closed(name):
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager",
                           f"--threshold={round(MOST_EXPOSED[name] * 10)}", UNITS / f"{name}.service"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Overall exposure level for {name}.service: {MOST_EXPOSED[name]} OK" in done.stdout


def test_a_unit_waits_longer_than_its_worker_drains():
    grace = int(re.search(r"--stop-grace (\d+)", only("dropbp-worker", "ExecStart"))[1])
    assert grace + 20 <= int(only("dropbp-worker", "TimeoutStopSec"))


def test_users_and_folders_are_made(folder):
    users = (folder / "etc/passwd").read_text()
    for name in NAMES:
        user = only(name, "User")
        assert re.search(rf"^{user}:x:\d+:\d+:.*:/usr/sbin/nologin$", users, re.MULTILINE), users
        assert f"/var/lib/{only(name, 'StateDirectory')}:" in users
    models = environment_file(folder / "etc/dropbp/worker.env")["DROPBP_MODELS"]
    for path in (models, "/etc/dropbp", "/etc/dropbp/tls"):
        assert (folder / path[1:]).stat().st_mode & 0o777 == 0o755, path
    assert os.readlink(folder / "usr/local/bin/dropbp") == "/opt/dropbp/bin/dropbp"


def test_the_services_find_each_other_train_a_job_and_stop_in_time(folder):
    coordinator = Service(folder, "dropbp-coordinator")
    wait_until(30, lambda: "serving on 127.0.0.1:7070" in coordinator.said(), coordinator.said())
    worker = Service(folder, "dropbp-worker")
    dropbp = Client(lambda words: run_on(folder, 990, *words))
    dropbp.wait_for_workers(1)
    dropbp.submit("job", folder / "opt", steps=3, seen_as="/opt")
    assert dropbp("wait", "job") == "SUCCEEDED\n"
    assert worker.stop() == 0, worker.said()
    assert coordinator.stop() == 0, coordinator.said()
    assert (folder / "var/lib/dropbp/jobs.db").exists()


if __name__ == "__main__":
    run_in_new_network(__file__)
