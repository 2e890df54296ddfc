"""Flows into a folder or a store: a file every so often, each whole, or not there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from spanline.errors import OutputError
from spanline.output import open_output

if TYPE_CHECKING:
    from spanline.store.writer import Writer

SEGMENT_TIME = 60.0
"""Seconds after which the flows that have ended become a file."""


class Segments:
    """Files flows-20261122T161500Z-000001.parquet of a folder, by the time when they were written, and a number.

    They are on the disk before they have their name: what has one outlives a crash of the machine. Raises OutputError
    when the folder cannot be made.

    written  how many files there are so far
    """

    def __init__(self, folder: str, format: str, seconds: float) -> None:
        self._folder = Path(folder)
        self._format = format
        self._seconds = seconds
        self._due = time.monotonic() + seconds
        self.written = 0
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._due

    def write(self, flows: pa.Table) -> None:
        """One file of `flows`; none when there are none."""
        self._due = time.monotonic() + self._seconds
        if not flows.num_rows:
            return
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.written += 1
        path = self._folder / f"flows-{now}-{self.written:06d}.{self._format}"
        with open_output(str(path), self._format, durable=True) as writer:
            writer.write(flows)


class StoredSegments:
    """Segments of a store."""

    def __init__(self, writer: Writer, seconds: float) -> None:
        self._writer = writer
        self._seconds = seconds
        self._due = time.monotonic() + seconds

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._due

    def identify(self, captures: Sequence[tuple[str, str]]) -> None:
        """Writer.identify()"""
        self._writer.identify(captures)

    def write(self, flows: pa.Table) -> None:
        """Takes `flows`; when it is due, what was taken is in the store then."""
        self._writer.write(flows)
        if self.is_due:
            self._writer.commit()
            self._due = time.monotonic() + self._seconds
