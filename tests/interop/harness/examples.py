"""The programs of examples/, run as their README says, against `ferrymq dev`."""

import time

from harness import install
from harness.processes import Failure, Process, wait_until

EXAMPLES = install.REPOSITORY / "examples"
CLIENTS = ("java", "go", "python")
READY_S = 30
ENDED_S = 300  # the first run fetches what it needs


def run(_, clients, folder):
    binary = install.REPOSITORY / "target" / "release" / "ferrymq"
    if not binary.exists():
        raise Failure(f"{binary} is missing: cargo build --release")
    dev = Process("dev", [binary, "dev", "--free-ports"], folder / "dev.log", {"XDG_RUNTIME_DIR": str(folder)})
    try:
        wait_until("ferrymq dev is ready", lambda: "end it:" in dev.output(), READY_S)
        name_server = dev.output().split("NAMESRV_ADDR=")[1].split()[0]
        for client in clients:
            started = time.monotonic()
            verdict = example(client, name_server, folder)
            yield client, time.monotonic() - started, verdict
    finally:
        dev.kill()


def example(client, name_server, folder):
    environment = {"NAMESRV_ADDR": name_server, "HOME": str(folder)} if client == "python" else {"NAMESRV_ADDR": name_server}
    process = Process(client, ["sh", "-c", f"cd {EXAMPLES / client} && exec {command(client, folder)}"], folder / f"{client}.log", environment)
    wait_until(f"the {client} example ends", lambda: not process.alive(), ENDED_S)
    if process.exit_code() == 0 and "received 10" in process.output():
        return "ok"
    return f"exit code {process.exit_code()}\n{process.log_tail()}"


def command(client, folder):
    if client == "java":
        return f"mvn -q -B -DbuildDirectory={folder}/java compile exec:java"
    if client == "go":
        return "go run ."
    return f"{install.python_client()} hello.py"
