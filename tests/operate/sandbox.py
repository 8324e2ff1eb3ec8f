"""Machines for one program, made with bwrap, without root.

Needs namespaces (unshare, bwrap): run_in_new_network() runs the test program again where it may make them.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

BRIDGE, NETWORK = "10.77.0.1", "10.77.0."
INSIDE = "DROPBP_IN_TEST_NETWORK"


def run_in_new_network(test_file):
    """Runs a file's tests in user, network and mount namespaces of their own, with a bridge for pods. Does not return."""
    if os.environ.get(INSIDE):
        for command in ("ip link set lo up", "ip link add pods type bridge",
                        f"ip addr add {BRIDGE}/24 dev pods", "ip link set pods up"):
            subprocess.run(command.split(), check=True)
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:], test_file]))
    inside = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--"]
    probe = subprocess.run([*inside, "ip", "link", "add", "pods", "type", "bridge"], capture_output=True, text=True,
                           check=False)
    if probe.returncode != 0 or not shutil.which("bwrap"):
        print(f"SKIPPED: cannot make namespaces here: {probe.stderr.strip() or 'no bwrap'}")
        sys.exit(77)
    os.environ[INSIDE] = "1"
    os.execvp("unshare", [*inside, sys.executable, *sys.argv])


def wait_until(seconds, condition, what):
    """Polls until condition() gives something true; returns it."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def bare_machine(user, group):
    """The command that others are appended to: Debian's programs, this user, no environment, its own processes."""
    return ["bwrap", "--unshare-pid", "--unshare-user", "--as-pid-1", "--new-session", "--die-with-parent", "--clearenv",
            "--uid", str(user), "--gid", str(group), "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
            "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev"]


def variables(values):
    """bwrap's arguments for environment variables."""
    return [word for name, value in values.items() for word in ("--setenv", name, value)]


class Program:
    """A running program, PID 1 of its machine. `enter`: a command that starts the machine, such as nsenter's."""

    def __init__(self, machine, command, log, enter=()):
        self._log = pathlib.Path(log)
        info_read, info_write = os.pipe()
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [*enter, *machine, "--info-fd", str(info_write), "--", *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[info_write])
        os.close(info_write)
        with os.fdopen(info_read) as info:
            self.pid = json.load(info)["child-pid"]

    def said(self):
        """What it wrote, to stdout and stderr."""
        return self._log.read_text(errors="replace")

    def signal_stop(self):
        os.kill(self.pid, signal.SIGTERM)  # the images' STOPSIGNAL, systemd's default

    def stop(self, seconds):
        """Returns its exit code."""
        self.signal_stop()
        return self.process.wait(seconds)

    def kill(self):
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait(10)
