"""Files with 1 % of their bytes changed, through everything that reads a capture.

    python tests/fuzz/mutate.py ../shared/captures --seeds 3

Run it on the core that `make sanitize` builds: whatever then goes past its memory, or overflows, ends the process, and
the last line names the file and the seed. Equal seeds give equal bytes. Each file is changed in three ways: anywhere,
anywhere behind the first 64 bytes (so that most are captures still), and within what a compressed file unpacks to.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import spanline
from spanline.errors import CaptureError
from spanline.sources.streams import ByteStream
from spanline.stages.flows import Flows
from spanline.stages.round_trips import RoundTrips
from spanline.stages.summary import Summary

SHARE = 0.01
HEAD = 64
MOST_BYTES = 1 << 26


def mutated(data: bytes, seed: str, begin: int = 0) -> bytes:
    """`data` with 1 % of the bytes behind `begin`, at least one, changed to any others."""
    chance = random.Random(seed)
    changed = bytearray(data)
    if begin >= len(changed):
        begin = 0
    for _ in range(max(1, round((len(changed) - begin) * SHARE)) if changed else 0):
        changed[chance.randrange(begin, len(changed))] ^= chance.randrange(1, 256)
    return bytes(changed)


def unpacked(path: Path) -> bytes:
    """What is in a compressed file, as far as it goes; nothing for others."""
    stream, found, piece = ByteStream(str(path)), bytearray(), bytearray(1 << 16)
    try:
        while stream.compression and len(found) < MOST_BYTES and (count := stream.readinto(memoryview(piece))):
            found += piece[:count]
    finally:
        stream.close()
    return bytes(found)


def mutations(path: Path, seed: int) -> Iterator[tuple[str, bytes]]:
    """(how, bytes) of each way to change a file."""
    data = path.read_bytes()
    name = f"{hashlib.sha256(data).hexdigest()}/{seed}"
    yield "anywhere", mutated(data, f"{name}/anywhere")
    yield "behind", mutated(data, f"{name}/behind", HEAD)
    inside = unpacked(path)
    if inside:
        yield "inside", mutated(inside, f"{name}/inside", HEAD)


def look_at_everything(path: Path) -> tuple[int, int]:
    """Frames read and problems told, of the file as packets, tunnels, layers, flows, round trips and summary."""
    capture = spanline.open(path, verify_checksums=True)
    flows, round_trips, summary = Flows(), RoundTrips("syn_synack"), Summary()
    frames = layers = 0
    try:
        for batch in capture.run(flows, round_trips, summary):
            frames += len(batch)
            layers += len(batch.layers) + len(batch.tunnels)
    except CaptureError:
        assert not frames
    for stage in (flows, round_trips, summary):
        for table in stage.tables().values():
            table.validate(full=True)
    assert frames == capture.counters.read == capture.counters.decoded + capture.counters.undecodable
    assert capture.counters.decoded == flows.flow_packets + flows.non_flow_packets
    assert all("\n" not in str(problem) for problem in capture.problems)
    return frames, len(capture.problems)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="captures, or folders of them")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from --first")
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    files = sorted(
        path for one in options.paths for path in (one.rglob("*") if one.is_dir() else [one]) if path.is_file()
    )
    started, ran, frames, problems, slowest = time.monotonic(), 0, 0, 0, (0.0, "")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "mutated"
        for seed in range(options.first, options.first + options.seeds):
            for path in files:
                for how, data in mutations(path, seed):
                    what = f"{path}, seed {seed}, {how}"
                    # Before, for what ends the process.
                    print(what, end="\r" if sys.stdout.isatty() else "\n", flush=True)
                    target.write_bytes(data)
                    os.utime(target, (0, 0))  # nobody goes on writing it
                    begun = time.monotonic()
                    read, told = look_at_everything(target)
                    slowest = max(slowest, (time.monotonic() - begun, what))
                    ran, frames, problems = ran + 1, frames + read, problems + told
    print(f"{len(files)} files, {ran} mutations, {frames:,} frames, {problems:,} problems told, no fault")
    print(f"{time.monotonic() - started:.0f} s; slowest {slowest[0]:.2f} s: {slowest[1]}")


if __name__ == "__main__":
    main()
