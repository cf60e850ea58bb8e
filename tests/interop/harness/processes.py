"""Child processes, free ports, and waiting for a condition.

Each child leads a process group of its own. All of them are killed when this program ends, however it ends.
"""

import atexit
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

POLL_S = 0.1
FREEZE_S = 60
# Below the ports that the system hands out to outgoing connections, which would otherwise take ours at random.
PORTS = range(20_000, 32_000)
# A broker listens on its port, on port - 2 (the "VIP" channel) and on port + 1 (replication).
PORT_OFFSETS = (-2, 0, 1)

_running = []
_given_ports = set()


class Failure(Exception):
    """Something that a scenario demands did not come true."""


def verdicts(names, verdict_of):
    """Rows (name, seconds, verdict), one after the other; a name that fails does not keep the others back."""
    for name in names:
        started = time.monotonic()
        try:
            verdict = verdict_of(name)
        except Failure as failure:
            verdict = str(failure)
        yield name, time.monotonic() - started, verdict


class Process:
    """A child that writes to LOG. Give it stdin only when it is to be told something. `prepare` runs in it before its program."""

    def __init__(self, name, command, log, env=None, stdin=subprocess.DEVNULL, prepare=None):
        self.name, self.log = name, Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command], stdin=stdin, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})}, start_new_session=True, preexec_fn=lambda: _prepared(prepare))
        _running.append(self)

    def alive(self):
        return self.child.poll() is None

    def exit_code(self):
        return self.child.poll()

    def output(self):
        return self.log.read_text(errors="replace")

    def log_tail(self, lines=25):
        return "\n".join(f"    {self.name}| {line}" for line in self.output().splitlines()[-lines:])

    def kill(self):
        """SIGKILL to the whole group, and wait for its end."""
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        if self in _running:
            _running.remove(self)

    def freeze(self):
        """Lets it do nothing more. The system stops each of its threads a moment after it was told, and this waits for the last."""
        self.child.send_signal(signal.SIGSTOP)

        def stopped():
            try:
                stats = [task.read_text() for task in Path(f"/proc/{self.child.pid}/task").glob("*/stat")]
            except OSError:  # a thread has ended meanwhile
                return False
            return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
        wait_until(f"{self.name} is frozen", stopped, FREEZE_S)

    def thaw(self):
        self.child.send_signal(signal.SIGCONT)

    def stop(self, seconds):
        """SIGTERM, and wait for its own end."""
        self.child.terminate()
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} still runs {seconds} s after it was asked to end:\n{self.log_tail()}") from None
        if self in _running:
            _running.remove(self)

    def wait_for_output(self, text, seconds):
        def said():
            if not self.alive():
                raise Failure(f"{self.name} ended with exit code {self.exit_code()}:\n{self.log_tail()}")
            return text in self.output()
        try:
            wait_until(f"{self.name} says '{text}'", said, seconds)
        except Failure as failure:
            raise Failure(f"{failure}\n{self.log_tail()}") from None


def wait_until(what, condition, seconds):
    """The value of the condition once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(POLL_S)


def free_port(host="127.0.0.1"):
    """A port whose neighbours (PORT_OFFSETS) are free too. Nothing here gets it a second time."""
    for port in random.sample(PORTS, len(PORTS)):
        wanted = {port + offset for offset in PORT_OFFSETS}
        if not wanted & _given_ports and all(_is_free(host, each) for each in wanted):
            _given_ports.update(wanted)
            return port
    raise Failure(f"no free port in {PORTS}")


def _is_free(host, port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _prepared(prepare):
    _die_with_parent()
    if prepare:
        prepare()


def _die_with_parent():
    """Runs in the child: should this program itself be killed, Linux kills the child."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def kill_all():
    for process in list(_running):
        process.kill()


def _end_on_signal(number, _frame):
    sys.exit(128 + number)


atexit.register(kill_all)
signal.signal(signal.SIGTERM, _end_on_signal)
signal.signal(signal.SIGHUP, _end_on_signal)
signal.signal(signal.SIGINT, _end_on_signal)
