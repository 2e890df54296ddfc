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
from spanline.relay import relay

if TYPE_CHECKING:
    import pyarrow as pa

    from spanline.pipeline import Capture
    from spanline.stages.flows import Flows


def crunch(capture: Capture, flows: Flows, output: Output, quiet: bool, threads: int) -> None:
    """Writes the flows of `capture` as they end."""
    from spanline.stages.flows import ROWS_AT_ONCE

    started = time.monotonic()
    written = 0

    def write(ended: pa.Table) -> None:
        nonlocal written
        written += ended.num_rows
        writer.write(with_community_id(ended))

    with open_output(output.path, output.format) as writer:
        # A progress bar between lines would only be in their way.
        for _ in follow(capture, flows, quiet=quiet or output.path is None):
            if flows.pending >= ROWS_AT_ONCE:
                write(flows.drain()["flows"])
        for _ in relay(flows.rest(), [write], threads):
            pass
    if not quiet:
        complain(account(capture, flows, written, time.monotonic() - started))


def account(capture: Capture, flows: Flows, written: int, seconds: float) -> str:
    """What became of every frame, and how fast, in one line."""
    read, undecodable = capture.counters.read, capture.counters.undecodable
    decoded, filtered_out = capture.counters.decoded, capture.counters.filtered_out
    left_out = f"filtered out {filtered_out:,} + " if filtered_out else ""
    octets, seconds = capture.bytes_read, max(seconds, 1e-9)
    return (
        f"{plural(written, 'flow')} of {plural(read, 'frame')} in {seconds:.2f} s "
        f"({size(octets / seconds)}/s, {plural(round(read / seconds), 'frame')}/s); "
        f"read {read:,} = decoded {decoded:,} + undecodable {undecodable:,}; "
        f"decoded {decoded:,} = {left_out}in flows {flows.flow_packets:,} + not in flows {flows.non_flow_packets:,}; "
        f"evicted {plural(flows.evicted, 'flow')}"
    )
