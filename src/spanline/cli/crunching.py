"""Flows of a capture of any size into a file, or files of a folder, and the account of its frames."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spanline.cli.crunch_segments import Segments, StoredSegments
from spanline.cli.group import complain
from spanline.cli.options import Inputs, Output, is_folder
from spanline.cli.reading import follow
from spanline.cli.text import plural, size
from spanline.community import with_community_id
from spanline.output import Writer, open_output
from spanline.relay import relay

if TYPE_CHECKING:
    import pyarrow as pa

    from spanline.cli.storing import Storing
    from spanline.pipeline import Capture, Stage
    from spanline.stages.flows import Flows


class Findings:
    """What is in the clear, and the file that it is written to; `memory` bytes are for flows and this together."""

    def __init__(self, output: Output, by_vlan: bool, by_vni: bool, memory: int) -> None:
        from spanline.cli.revealing import Revealing
        from spanline.stages.plaintext import LEAST_MEMORY, MEMORY, Plaintext

        self.output = output
        self.memory = min(MEMORY, max(LEAST_MEMORY, memory // 4))
        shows = Revealing(asked=False, anyway=False).shows(output)
        self.stage = Plaintext(shows, by_vlan=by_vlan, by_vni=by_vni, memory=self.memory)
        self._parts: list[pa.Table] = []

    def take(self, all_there_is: bool) -> None:
        """Takes from the stage what is finished, or everything."""
        from spanline.stages.plaintext import ROWS_AT_ONCE

        if all_there_is:
            self._parts += self.stage.rest()
        elif self.stage.pending >= ROWS_AT_ONCE:
            self._parts.append(self.stage.drain()["findings"])

    def write(self, writer: Writer) -> None:
        from spanline.stages.plaintext import in_order

        writer.write(in_order(self._parts))


def crunch(
    capture: Capture,
    flows: Flows,
    place: Output | Storing,
    segment_time: float,
    inputs: Inputs,
    findings: Findings | None = None,
) -> None:
    """Writes the flows of `capture` as they end, and in the same pass what is in the clear. Where `place` is a folder
    or a store, it gets another file after `segment_time` seconds."""
    from spanline.stages.flows import ROWS_AT_ONCE

    started = time.monotonic()
    written = 0

    def write(ended: pa.Table) -> None:
        nonlocal written
        written += ended.num_rows
        writer.write(with_community_id(ended) if isinstance(place, Output) else ended)

    with contextlib.ExitStack() as files:
        writer = files.enter_context(_writer(place, segment_time))
        segments = writer if isinstance(writer, Segments | StoredSegments) else None
        to_stdout = isinstance(place, Output) and place.path is None
        stages: list[Stage] = [flows]
        if findings is not None:
            other = findings.output
            findings_writer = files.enter_context(open_output(other.path, other.format, private=other.private))
            stages.append(findings.stage)
        # A progress bar between lines would only be in their way.
        for _ in follow(capture, *stages, quiet=inputs.quiet or to_stdout):
            if flows.pending >= ROWS_AT_ONCE or (segments is not None and segments.is_due):
                write(flows.drain()["flows"])
            if findings is not None:
                findings.take(all_there_is=False)
        for _ in relay(flows.rest(), [write], 1 if segments else inputs.threads):
            pass
        if findings is not None:
            findings.take(all_there_is=True)
            findings.write(findings_writer)
        if not isinstance(place, Output) and isinstance(writer, StoredSegments):
            writer.identify(place.identified(capture.files))
    if not inputs.quiet:
        complain(account(capture, flows, written, time.monotonic() - started))
        if findings is not None:
            from spanline.cli.plaintext_view import account as account_of_findings

            complain(account_of_findings(findings.stage))


@contextlib.contextmanager
def _writer(place: Output | Storing, segment_time: float) -> Iterator[Writer | Segments | StoredSegments]:
    if not isinstance(place, Output):
        with place.open(segment_time) as stored:
            yield stored
    elif place.path is not None and is_folder(place.path):
        yield Segments(place.path, place.format, segment_time)
    else:
        with open_output(place.path, place.format) as writer:
            yield writer


def account(capture: Capture, flows: Flows, written: int, seconds: float) -> str:
    """What became of every frame, and how fast, in one line."""
    read, undecodable = capture.counters.read, capture.counters.undecodable
    decoded, filtered_out = capture.counters.decoded, capture.counters.filtered_out
    left_out = f"filtered out {filtered_out:,} + " if filtered_out else ""
    octets, seconds = capture.bytes_read, max(seconds, 1e-9)
    offered = longer = ""
    if capture.listening is not None:
        from spanline.cli.listening import longer_text, offered_text

        offered, longer = f"{offered_text(capture)}; ", longer_text(capture)
    return (
        f"{plural(written, 'flow')} of {plural(read, 'frame')} in {seconds:.2f} s "
        f"({size(octets / seconds)}/s, {plural(round(read / seconds), 'frame')}/s); "
        f"{offered}read {read:,} = decoded {decoded:,} + undecodable {undecodable:,}; "
        f"decoded {decoded:,} = {left_out}in flows {flows.flow_packets:,} + not in flows {flows.non_flow_packets:,}; "
        f"evicted {plural(flows.evicted, 'flow')}{longer}"
    )
