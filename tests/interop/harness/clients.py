"""How each client's driver is started. A driver holds the scenarios of its client and judges them by itself."""

import os
import subprocess

from harness import install
from harness.processes import Process

CLIENTS = ("java", "java4", "go", "python")
MESSAGES = 200
CLIENT_JVM = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]


class Driver:
    def __init__(self, client, scenario, name_servers, topic, group, folder, jvm=()):
        self.client = client
        command, env = _command(client, folder, jvm)
        addresses = ";".join(server.address for server in name_servers)
        self.process = Process(
            client, [*command, scenario, addresses, topic, group, MESSAGES], folder / f"{client}.log", env, subprocess.PIPE)

    def acked(self):
        """How many sends were acknowledged so far."""
        return self._progress("acked")

    def consumed(self):
        return self._progress("consumed")

    def _progress(self, word):
        lines = [line.split() for line in self.process.output().splitlines() if line.startswith("acked ")]
        return int(lines[-1][lines[-1].index(word) + 1]) if lines else 0

    def stop_sending(self):
        self.process.child.stdin.close()

    def ended(self):
        return not self.process.alive()

    def verdict(self):
        """What the driver found: the line "ok …", or what went wrong."""
        said = [line for line in self.process.output().splitlines() if line.startswith(("ok ", "failed: "))]
        if self.process.exit_code() == 0 and said and said[-1].startswith("ok "):
            return said[-1]
        how = "still runs" if self.process.alive() else f"exit code {self.process.exit_code()}"
        return f"{said[-1] if said else 'no verdict'} ({how})\n{self.process.log_tail()}"


def prepare(clients):
    for client in clients:
        _command(client, install.STATE, ())


def _command(client, folder, jvm):
    """The command of a driver, and the environment that keeps its logs in the folder."""
    home = folder / f"{client}-home"
    if client in install.JAVA_CLIENTS:
        flags = [*CLIENT_JVM, *jvm, f"-Duser.home={home}"]
        return ["java", *flags, "-cp", install.java_client(client), "Client"], {}
    if client == "go":
        return [install.go_client()], {"ROCKETMQ_GO_LOG_LEVEL": "warn"}
    return [install.python_client(), "-X", "utf8", install.HERE / "python" / "client.py"], {"HOME": os.fspath(home)}
