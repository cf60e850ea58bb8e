"""Fetches the official servers and clients from their package registries and builds the drivers; once, then cached.

Everything lands in target/interop/. A cache is as good as the files that it was made from: each has a stamp with their hash.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from harness.processes import Failure

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent
STATE = REPOSITORY / "target" / "interop"
APACHE = "5.5.0"
JAVA_CLIENTS = {"java": "5.5.0", "java4": "4.9.8"}
PYTHON_CLIENT = "rocketmq==0.4.4"


def jars(name, version, profile=None):
    """Copies the artifacts of one profile of pom.xml into a folder."""
    folder, pom = STATE / "lib" / name, HERE / "java" / "pom.xml"
    command = ["mvn", "-q", "-B", "-f", pom, f"-Drocketmq.version={version}", *(["-P", profile] if profile else []),
               "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    with _Stamp(folder, [pom]) as fresh:
        if not fresh:
            _run(f"fetching the jars of {name}", command)
    return folder


def servers():
    """Class path of Apache's name server, broker and tools, and of our programs that drive the tools."""
    return _compiled("tools", jars("servers", APACHE, "servers"), HERE / "java" / "tools")


def java_client(client):
    return _compiled(client, _java_library(client), HERE / "java" / "client")


def fault_driver():
    """Class path of the official client as the hands of the fault harness."""
    return _compiled("fault-driver", _java_library("java"), REPOSITORY / "jepsen" / "java")


def java_features(client):
    """Features need the admin API too. What 4.x does not have is in a folder of its own."""
    if JAVA_CLIENTS[client] == APACHE:
        return _compiled(f"features-{client}", jars("servers", APACHE, "servers"), HERE / "java" / "features", HERE / "java" / "features5")
    return _compiled(f"features-{client}", _java_library(client), HERE / "java" / "features")


def _java_library(client):
    version = JAVA_CLIENTS[client]
    return jars(f"client-{version}", version, "client-4" if version.startswith("4.") else None)


def go_client():
    return _go_program("client", HERE / "go")


def go_features():
    return _go_program("features", HERE / "go" / "features")


def _go_program(name, source):
    folder, module = STATE / f"go-{name}", HERE / "go"
    with _Stamp(folder, [module / "go.mod", module / "go.sum", *sorted(source.glob("*.go"))]) as fresh:
        if not fresh:
            _run(f"building the Go program {name}", ["go", "build", "-o", folder / name, "."], cwd=source)
    return folder / name


def python_client():
    folder = STATE / "python"
    with _Stamp(folder, [Path(__file__)]) as fresh:
        if not fresh:
            _run("making the Python environment", [sys.executable, "-m", "venv", folder])
            _run("fetching the Python client", [folder / "bin" / "pip", "install", "-q", PYTHON_CLIENT])
    return folder / "bin" / "python"


def _compiled(name, library, *sources):
    classes, files = STATE / "classes" / name, sorted(file for source in sources for file in source.glob("*.java"))
    with _Stamp(classes, [*files, HERE / "java" / "pom.xml"]) as fresh:
        if not fresh:
            _run(f"compiling the Java programs for {name}",
                 ["javac", "-encoding", "UTF-8", "-d", classes, "-cp", f"{library}/*", *files])
    return f"{classes}:{library}/*"


class _Stamp:
    """Guards a folder made from some files: says whether it is fresh, empties it when not, and stamps it after success."""

    def __init__(self, folder, sources):
        self.folder = folder
        self.file = folder.with_name(folder.name + ".stamp")
        self.hash = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()

    def __enter__(self):
        fresh = self.file.exists() and self.file.read_text() == self.hash
        if not fresh:
            self.file.unlink(missing_ok=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        return fresh

    def __exit__(self, error, *_):
        if error is None:
            self.file.write_text(self.hash)


def _run(what, command, cwd=None):
    print(f"{what} …", flush=True)
    done = subprocess.run([str(word) for word in command], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise Failure(f"{what} failed:\n{done.stdout[-4000:]}")
