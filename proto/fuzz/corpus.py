#!/usr/bin/env python3
"""The corpus of each fuzz target is one file, `corpus/TARGET.bin`: inputs, each behind its length (4 bytes, big-endian).

usage: corpus.py unpack TARGET FOLDER     one file an input, as the fuzzer wants them
       corpus.py pack TARGET FOLDER       back again, shortest first; inputs past 4096 bytes are left out
"""
import hashlib
import struct
import sys
from pathlib import Path

LONGEST = 4096


def main(verb, target, folder):
    packed = Path(__file__).parent / "corpus" / f"{target}.bin"
    folder = Path(folder)
    if verb == "unpack":
        folder.mkdir(parents=True, exist_ok=True)
        data = packed.read_bytes()
        while data:
            (length,) = struct.unpack_from(">I", data)
            item, data = data[4:4 + length], data[4 + length:]
            (folder / hashlib.sha1(item).hexdigest()).write_bytes(item)
    elif verb == "pack":
        items = {path.read_bytes() for path in folder.iterdir()}
        items = sorted((item for item in items if len(item) <= LONGEST), key=lambda item: (len(item), item))
        packed.parent.mkdir(exist_ok=True)
        packed.write_bytes(b"".join(struct.pack(">I", len(item)) + item for item in items))
        print(f"{target}: {len(items)} inputs, {packed.stat().st_size} bytes")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
