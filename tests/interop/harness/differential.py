"""Scenario differential: 100,000 generated headers and as many records are decoded by Apache's decoders and by ours, each into a
line, and the lines compared. Not one may differ."""

import subprocess
import time

from harness import install
from harness.decode import java
from harness.processes import Failure

DECODER = install.REPOSITORY / "target" / "release" / "examples" / "decode"
COUNT = 100_000
SEED = 20261121
# Differences to show; one is too many already.
SHOWN = 5


def run(_servers, _clients, folder):
    if not DECODER.exists():
        raise Failure(f"{DECODER} is missing: cargo build --release --workspace --examples")
    for kind in ("command", "record"):
        started = time.monotonic()
        inputs = folder / f"{kind}.bin"
        inputs.write_bytes(ours("generate", kind, SEED, COUNT))
        own = ours(kind, stdin=inputs.read_bytes()).decode().splitlines()
        theirs = java(folder, "Decode", kind, inputs)
        different = [pair for pair in zip(own, theirs, strict=True) if pair[0] != pair[1]]
        if len(own) != COUNT or different or "error" in own:
            shown = "\n".join(f"ours:   {mine}\nApache: {other}" for mine, other in different[:SHOWN])
            raise Failure(f"{len(different)} of {len(own)} {kind}s differ, {own.count('error')} were not read\n{shown}")
        yield kind, time.monotonic() - started, f"ok {COUNT} alike"


def ours(*arguments, stdin=None):
    done = subprocess.run([str(word) for word in (DECODER, *arguments)], input=stdin, capture_output=True)
    if done.returncode:
        raise Failure(f"{DECODER} {arguments} failed:\n{done.stderr.decode()[-4000:]}")
    return done.stdout
