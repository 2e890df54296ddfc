"""Flows of a capture of any size into a file, and the account of its frames."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from spanline.cli.group import complain
from spanline.cli.options import Output
from spanline.cli.reading import follow
from spanline.cli.text import plural, size
from spanline.community import with_community_id
from spanline.output import open_output

if TYPE_CHECKING:
    import pyarrow as pa

    from spanline.pipeline import Capture
    from spanline.stages.flows import Flows

# Flows written at a time: a row group that queries skip through well.
_AT_ONCE = 1 << 16


def crunch(capture: Capture, flows: Flows, output: Output, quiet: bool) -> None:
    """Writes the flows of `capture` as they end."""
    started = time.monotonic()
    written = 0

    def write(ended: pa.Table) -> None:
        nonlocal written
        written += ended.num_rows
        # At the end all live flows come at once, and as text they are several times as large; none make an empty file.
        for start in range(0, max(ended.num_rows, 1), _AT_ONCE):
            writer.write(with_community_id(ended.slice(start, _AT_ONCE)))

    with open_output(output.path, output.format) as writer:
        # A progress bar between lines would only be in their way.
        for _ in follow(capture, flows, quiet=quiet or output.path is None):
            if flows.pending >= _AT_ONCE:
                write(flows.drain()["flows"])
        write(flows.tables()["flows"])
    if not quiet:
        complain(account(capture, flows, written, time.monotonic() - started))


def account(capture: Capture, flows: Flows, written: int, seconds: float) -> str:
    """What became of every frame, and how fast, in one line."""
    read, undecodable = capture.counters.read, capture.counters.undecodable
    decoded = capture.counters.decoded
    octets, seconds = capture.bytes_read, max(seconds, 1e-9)
    return (
        f"{plural(written, 'flow')} of {plural(read, 'frame')} in {seconds:.2f} s "
        f"({size(octets / seconds)}/s, {plural(round(read / seconds), 'frame')}/s); "
        f"read {read:,} = decoded {decoded:,} + undecodable {undecodable:,}; "
        f"decoded {decoded:,} = in flows {flows.flow_packets:,} + not in flows {decoded - flows.flow_packets:,}; "
        f"evicted {plural(flows.evicted, 'flow')}"
    )
