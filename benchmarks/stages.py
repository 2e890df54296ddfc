"""Where the time goes: nanoseconds a packet for each stage of crunch, beside what the machine can do at best.

    python benchmarks/stages.py CAPTURE…      # .venv/bin/python after `make bench` or `make test`

One thread, one core (run it under taskset), files in the page cache, the best of five passes by their sum. Stages are
called as the pipeline calls them, a chunk at a time, with a clock around each; what is left of a pass is Python.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from peers.captures import warm
from peers.install import limits_program
from peers.sessions import limits

from spanline import _framing, batch
from spanline.community import with_community_id
from spanline.output import open_output
from spanline.pipeline import Capture
from spanline.sources import capture_file, streams
from spanline.stages.flows import Flows

PASSES = 5
STAGES = ("read", "frame", "decode", "flows", "tables", "write")


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - begin

    def around(self, stage: str, function: Callable[..., object]) -> Callable[..., object]:
        def timed(*arguments: object) -> object:
            with self.time(stage):
                return function(*arguments)

        return timed


class TimedFramer:
    """The framer, with a clock around its scan."""

    clock: Clock

    def __init__(self) -> None:
        self._framer = _framing.Framer()
        self.scan = self.clock.around("frame", self._framer.scan)

    def __getattr__(self, name: str) -> object:
        return getattr(self._framer, name)


def one_pass(path: Path) -> tuple[int, int, float, Clock]:
    """(packets, flows, seconds in all, seconds by stage)."""
    clock = TimedFramer.clock = Clock()
    readinto, decode = streams.ByteStream.readinto, batch.Decode.__call__

    class TimedFraming:
        Framer = TimedFramer

        def __getattr__(self, name: str) -> object:
            return getattr(_framing, name)

    vars(capture_file)["_framing"] = TimedFraming()
    streams.ByteStream.readinto = clock.around("read", readinto)  # type: ignore[method-assign, assignment]
    batch.Decode.__call__ = clock.around("decode", decode)  # type: ignore[method-assign, assignment]
    try:
        begin = time.perf_counter()
        flows, packets, count = Flows(), 0, 0
        for chunk in Capture([path]):
            packets += len(chunk)
            with clock.time("flows"):
                flows.update(chunk)
        with open_output(os.devnull, "parquet") as writer:
            rest = flows.rest()
            while True:
                with clock.time("tables"):
                    table = next(rest, None)
                    if table is None:
                        break
                    table = with_community_id(table)
                with clock.time("write"):
                    writer.write(table)
                count += table.num_rows
        return packets, count, time.perf_counter() - begin, clock
    finally:
        vars(capture_file)["_framing"] = _framing
        streams.ByteStream.readinto = readinto  # type: ignore[method-assign]
        batch.Decode.__call__ = decode  # type: ignore[method-assign]


def main() -> None:
    """Print a table of stages for each capture, and the machine's limits."""
    for path in map(Path, sys.argv[1:]):
        warm(path)
        packets, flows, seconds, clock = min((one_pass(path) for _ in range(PASSES)), key=lambda each: each[2])
        print(f"{path.name}: {packets:,} packets, {flows:,} flows, {path.stat().st_size / packets:.0f} bytes a record")
        for stage, spent in clock.seconds.items():
            print(f"  {stage:8}{spent / packets * 1e9:7.1f} ns a packet")
        print(f"  {'Python':8}{(seconds - sum(clock.seconds.values())) / packets * 1e9:7.1f}")
        rate = packets / seconds / 1e6
        print(f"  {'sum':8}{seconds / packets * 1e9:7.1f} ns a packet, {rate:.2f} Mpps without start-up")
    print(f"limits ({limits_program().name}):")
    for name, value in limits(Path(sys.argv[1])).items():
        print(f"  {name:32}{np.format_float_positional(value, precision=2)}")


if __name__ == "__main__":
    main()
