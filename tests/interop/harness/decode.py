"""Scenario decode: Apache's own decoders, which other decoders are to be compared with, read what Apache's encoders write
and every frame that was recorded in tests/compat."""

import struct
import subprocess
import time

from harness import install
from harness.processes import Failure
from harness.remoting import split_frame

FRAMES = install.REPOSITORY / "tests" / "compat" / "frames"
PULL_MESSAGE = 11
DECODED_S = 60


def run(_servers, _clients, folder):
    started = time.monotonic()
    checked = java(folder, "DecodeCheck")
    if checked[-1] != "ok":
        raise Failure("\n".join(checked))
    files = sorted(FRAMES.glob("*/*.bin"))
    frames = [(file, data) for file in files for data in whole(file.read_bytes())]
    lines = java(folder, "Decode", "command", *files)
    problems = [f"{file}: {line}" for (file, _), line in zip(frames, lines, strict=True) if not agrees(file, line)]
    records = [record for file, data in frames if file.name == f"response-{PULL_MESSAGE}.bin"
               for record in whole_records(split_frame(data)[1])]
    (folder / "records.bin").write_bytes(b"".join(struct.pack(">I", len(record)) + record for record in records))
    lines = java(folder, "Decode", "record", folder / "records.bin")
    problems += [f"a pulled record: {line}" for _, line in zip(records, lines, strict=True) if not line.startswith('"topic-')]
    if not records or problems:
        raise Failure(f"{len(frames)} frames, {len(records)} records\n" + "\n".join(problems))
    yield "apache", time.monotonic() - started, f"ok {len(frames)} frames and {len(records)} records decoded"


def java_command(folder, program, *arguments):
    return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", f"-Duser.home={folder}",
            "-cp", install.servers(), program, *arguments]


def java(folder, program, *arguments, seconds=DECODED_S):
    """The lines that a program prints to stdout."""
    command = java_command(folder, program, *arguments)
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failure(f"{program} takes more than {seconds} s") from None
    if done.returncode:
        raise Failure(f"{program} failed:\n{done.stderr[-4000:]}")
    return done.stdout.splitlines()


def agrees(file, line):
    """A line is no `error`, names a language that was recorded, and if it is a request, the code of its file's name."""
    code, language, *rest = line.split("|")
    kind, _, named_code = file.stem.rpartition("-")
    return bool(rest) and language in ("JAVA", "GO", "CPP") and (kind not in ("request", "push") or code == named_code)


def whole(data):
    """The frames of a file, each behind its length."""
    while data:
        end = 4 + int.from_bytes(data[:4])
        yield data[:end]
        data = data[end:]


def whole_records(body):
    """The stored messages of a pull: each begins with its size, which includes the size."""
    while body:
        end = int.from_bytes(body[:4])
        yield body[:end]
        body = body[end:]
