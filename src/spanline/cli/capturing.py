"""Frames of a live capture into segments and to whoever connects, and the account of them."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spanline.capture_blocks import CaptureBlocks
from spanline.cli.group import complain
from spanline.cli.listening import longer_text, offered_text
from spanline.cli.options import Inputs
from spanline.cli.reading import begin, conclude, name_capture, watch
from spanline.cli.text import plural
from spanline.errors import OutputError
from spanline.segment_files import PIECE, left_over
from spanline.segments import Rotation, Segments

if TYPE_CHECKING:
    from spanline.batch import Batch
    from spanline.cli.storing import StoredFlows
    from spanline.pipeline import Capture
    from spanline.serving import PcapServer


def capture_frames(
    inputs: Inputs,
    folder: str | None,
    rotation: Rotation,
    suffix: str,
    serve: str | None,
    store: str | None,
    most_bytes: int | None,
) -> None:
    """Captures until it is stopped, `most_bytes` were captured, or nothing can be written any more.

    Raises OutputError in the last case, when all is said of what is kept.
    """
    session = _Session(most_bytes)
    with contextlib.ExitStack() as opened:
        # Nobody is let in before privileges are given up: the server's work begins later.
        server = None if serve is None else _server(serve, opened)
        capture = name_capture(inputs, reassemble=inputs.inner_filter is not None or store is not None)
        since = time.time_ns()
        begin(capture, inputs)
        assert capture.listening is not None
        opened.callback(capture.listening.close)
        segments = None if folder is None else _segments(Path(folder), inputs, capture, since, rotation, suffix, opened)
        served = None if server is None else _Served(server, capture)
        flows = None if store is None else _stored_flows(store, inputs, opened)
        for batch in watch(capture, *([] if flows is None else [flows.stage]), quiet=inputs.quiet):
            count = session.take(batch)
            if served is not None:
                served.write(batch, count)
            if segments is not None:
                segments.write(batch, count)
                if batch.clock is not None:
                    segments.advance(batch.clock)
            if flows is not None:
                flows.take()
            if session.is_over or (segments is not None and segments.failure is not None):
                capture.stop()
        if flows is not None:
            flows.finish()
    if not inputs.quiet:
        complain(account(capture, session, segments))
    if segments is not None and segments.failure is not None:
        raise _with_what_is_kept(segments)
    conclude(capture.problems)


class _Session:
    """Azure's bytes per session: it is over with the frame with which they are reached.

    seen  frames so far, of which `taken` were not behind the end
    """

    def __init__(self, most_bytes: int | None) -> None:
        self._most_bytes = most_bytes
        self._bytes = self.seen = self.taken = 0
        self.is_over = False

    def take(self, batch: Batch) -> int:
        """How many frames of `batch`, from its first on, are of the session."""
        count = len(batch)
        if self.is_over:
            count = 0
        elif self._most_bytes is not None:
            ends = self._bytes + np.cumsum(batch.records["captured_length"], dtype=np.int64)
            if count and ends[-1] >= self._most_bytes:
                self.is_over = True
                count = int(np.searchsorted(ends, self._most_bytes)) + 1
            self._bytes = int(ends[count - 1]) if count else self._bytes
        self.seen += len(batch)
        self.taken += count
        return count


class _Served:
    """What is sent to whoever connects: one section, whatever segments there are."""

    def __init__(self, server: PcapServer, capture: Capture) -> None:
        self._server = server
        self._blocks = CaptureBlocks(capture.interfaces)
        self._piece = np.empty(PIECE, np.uint8)
        server.declare(self._blocks.section())

    def write(self, batch: Batch, count: int) -> None:
        if new := self._blocks.declare():
            self._server.declare(new)
        done = 0
        while done < count:
            done, size = self._blocks.frames(batch, done, count, self._piece)
            self._server.write(self._piece[:size].data)


def _server(endpoint: str, opened: contextlib.ExitStack) -> PcapServer:
    from spanline.serving import PcapServer

    server = PcapServer(endpoint, complain)
    opened.callback(server.close)
    return server


def _stored_flows(store: str, inputs: Inputs, opened: contextlib.ExitStack) -> StoredFlows:
    from spanline.cli.storing import stored_flows

    return opened.enter_context(stored_flows(store, inputs))


def _segments(
    folder: Path,
    inputs: Inputs,
    capture: Capture,
    since: int,
    rotation: Rotation,
    suffix: str,
    opened: contextlib.ExitStack,
) -> Segments:
    assert capture.listening is not None
    for path in left_over(folder):
        complain(f"{path}: was not ended by what wrote it; spanline info says what is in it")
    name = inputs.paths[0].removeprefix("live:")
    segments = Segments(folder, name, capture.interfaces, capture.listening, rotation, suffix, since)
    opened.callback(segments.close)
    return segments


def account(capture: Capture, session: _Session, segments: Segments | None) -> str:
    """What became of every frame, in one line."""
    read = capture.counters.read
    written = session.taken if segments is None else segments.files.written
    parts = {
        "filtered out": read - session.seen,
        "behind the session's end": session.seen - session.taken,
        "not written": 0 if segments is None else segments.files.unwritten,
    }
    kept = f"{'written' if segments else 'taken'} {written:,}"
    became = " + ".join([kept, *(f"{name} {count:,}" for name, count in parts.items() if count)])
    told = f"; {_told(segments)}" if segments else ""
    return f"{offered_text(capture)}; read {read:,} = {became}{told}{longer_text(capture)}"


def _told(segments: Segments) -> str:
    files = segments.files
    deleted = f", of which {files.deleted:,} are deleted" if files.deleted else ""
    replaced = f", in the place of {files.replaced:,} of earlier captures" if files.replaced else ""
    return f"{plural(files.segments, 'segment')}{deleted}{replaced}"


def _with_what_is_kept(segments: Segments) -> OutputError:
    failure, files = segments.failure, segments.files
    assert failure is not None
    kept = f"{plural(files.written, 'frame')} in {_told(segments)}"
    return OutputError(f"{failure.message}; kept {kept}", hint=failure.hint)
