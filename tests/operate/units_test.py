"""The systemd units: sound by systemd's own tools, closed, and with programs that start and stop as the units say."""
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tarfile
import tempfile

import pytest

import pod_sandbox
from pod_sandbox import BIN, wait_until
from rendered import ROOT

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


PROGRAMS = ["dropbp", "dropbp-coordinator", "dropbp-worker", "dropbp-trainer"]


def machine(folder, user):
    """bwrap's arguments for a machine whose /etc, /opt and /var/lib are folders here, as root or as a service's user."""
    words = ["bwrap", "--unshare-pid", "--unshare-user", "--as-pid-1", "--die-with-parent", "--new-session",
             "--uid", str(user), "--gid", str(user), "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
             "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev",
             "--tmpfs", "/tmp", "--tmpfs", "/run",
             # LibTorch, at the path that the build's trainer has in it.
             "--ro-bind", str((ROOT / "build/env").resolve()), str((ROOT / "build/env").resolve())]
    for path in ("etc", "opt", "var/lib", "usr/local/bin"):
        (folder / path).mkdir(parents=True, exist_ok=True)
        words += ["--bind", str(folder / path), f"/{path}"]
    return [*words, "--remount-ro", "/", "--clearenv", "--setenv", "PATH", "/usr/local/bin:/usr/sbin:/usr/bin"]


def bundle(folder):
    """What tools/bundle packs, of this build; without the libraries, which the build's programs find by themselves."""
    version = re.search(r"project\(dropbp VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
    top = f"dropbp-{version}-linux-x86_64"
    installed = (ROOT / "cmake/DropbpInstall.cmake").read_text()
    assert "install(DIRECTORY deploy/systemd DESTINATION share/dropbp)" in installed
    assert "install(FILES LICENSE configs/coordinator.yaml DESTINATION share/dropbp)" in installed
    with tarfile.open(folder / f"{top}.tar.gz", "w:gz", compresslevel=1) as tar:
        for program in PROGRAMS:
            tar.add(BIN / program, f"{top}/bin/{program}")
        tar.add(UNITS, f"{top}/share/dropbp/systemd")
        tar.add(ROOT / "configs/coordinator.yaml", f"{top}/share/dropbp/coordinator.yaml")


@pytest.fixture(scope="module", name="folder")
def installed_machine():
    """A machine on which the first commands of docs/operate.md were run as root."""
    text = (ROOT / "docs/operate.md").read_text().split("\n## Install on machines")[1]
    commands = re.search(r"```\n(.*?)```", text, re.DOTALL).group(1)
    with tempfile.TemporaryDirectory(prefix="dropbp-units-") as name:
        folder = pathlib.Path(name)
        bundle(folder)
        done = subprocess.run([*machine(folder, 0), "--bind", name, "/tmp", "--chdir", "/tmp", "--",
                               "bash", "-euc", commands], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (folder / "var/lib/dropbp").mkdir()
        (folder / "var/lib/dropbp-worker").mkdir()
        yield folder


def expand(command, variables):
    """As systemd does: ${NAME} within a word, $NAME alone as as many words as it holds."""
    words = []
    for word in command.split():
        if word.startswith("$") and not word.startswith("${"):
            words += shlex.split(variables[word[1:]])
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda match: variables[match[1]], word))
    return words


class Service:
    def __init__(self, folder, name):
        self.name, self.log = name, folder / f"{name}.log"
        variables = {"STATE_DIRECTORY": f"/var/lib/{only(name, 'StateDirectory')}"}
        words = []
        for path in settings(name).get("EnvironmentFile", []):
            variables |= environment_file(folder / path[1:])
        for key, value in variables.items():
            words += ["--setenv", key, value]
        info_read, info_write = os.pipe()
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                [*machine(folder, 990), "--info-fd", str(info_write), *words, "--",
                 "tini", "--", *expand(only(name, "ExecStart"), variables)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[info_write])
        os.close(info_write)
        with os.fdopen(info_read) as info:
            self.pid = int(re.search(r'"child-pid": (\d+)', info.read())[1])

    def said(self):
        return self.log.read_text(errors="replace")

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(int(only(self.name, "TimeoutStopSec")))


@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_nothing_wrong_with_it(folder, name):
    done = subprocess.run([*machine(folder, 0), "--", "systemd-analyze", "verify",
                           f"/etc/systemd/system/{name}.service"], capture_output=True, text=True, check=False)
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


def test_the_services_start_find_each_other_and_stop_in_time(folder):
    coordinator = Service(folder, "dropbp-coordinator")
    wait_until(30, lambda: "serving on 127.0.0.1:7070" in coordinator.said(), coordinator.said())
    worker = Service(folder, "dropbp-worker")

    def connected():
        assert worker.process.poll() is None, worker.said()
        done = subprocess.run([BIN / "dropbp", "workers", "--output", "json"], capture_output=True, text=True, check=False)
        return '"connected": true' in done.stdout
    wait_until(30, connected, "a connected worker")
    assert worker.stop() == 0, worker.said()
    assert coordinator.stop() == 0, coordinator.said()
    assert (folder / "var/lib/dropbp/jobs.db").exists()


if __name__ == "__main__":
    reason = pod_sandbox.in_new_network()
    if reason:
        print(f"SKIPPED: {reason}")
        sys.exit(77)
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:], __file__]))
