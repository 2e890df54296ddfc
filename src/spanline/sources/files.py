"""Capture files as one source: what a user names, in order of time."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path

from spanline.chunk import Chunk, Interfaces
from spanline.errors import CaptureError, Problem
from spanline.pool import Pool
from spanline.sources.capture_file import CaptureFile, FileInfo, OnWait
from spanline.sources.merge import merge
from spanline.sources.paths import expand
from spanline.sources.streams import is_regular_file


class Files:
    """The files that `names` mean (sources.paths.expand). Raises CaptureError for a pattern or folder without any."""

    def __init__(self, names: Sequence[str | os.PathLike[str]]) -> None:
        self._paths = expand(names)
        self._reading: list[CaptureFile] = []
        self._problems: list[Problem] = []

    def open(
        self, interfaces: Interfaces, problems: list[Problem], on_wait: OnWait | None, several_threads: bool
    ) -> None:
        """Makes ready to read them from their beginning. What is wrong with them goes to `problems`."""
        self._problems = problems
        pool = Pool()
        self._reading = [
            CaptureFile(path, interfaces, problems, pool, on_wait, several_threads) for path, _ in self._paths
        ]

    def chunks(self) -> Generator[Chunk]:
        """Those of all files. Raises CaptureError, at the end, when none of them is a capture."""
        try:
            yield from merge(self._reading)
        finally:
            self.close()
            strangers = self._pass_over_strangers()
        self._require_a_capture(strangers)

    def close(self) -> None:
        for file in self._reading:
            file.close()

    def _pass_over_strangers(self) -> set[str]:
        """Files of a folder that are no captures are nobody's fault. Gives their paths."""
        problems = self._problems
        strangers = {path for path, listed in self._paths if listed} & {
            problem.path for problem in problems if problem.kind == "not-a-capture"
        }
        problems[:] = [p for p in problems if not (p.kind == "not-a-capture" and p.path in strangers)]
        self._reading = [file for file in self._reading if file.path not in strangers]
        return strangers

    def _require_a_capture(self, strangers: set[str]) -> None:
        if len(strangers) == len(self._paths):
            folders = ", ".join(sorted({str(Path(path).parent) for path in strangers}))
            raise CaptureError(f"{folders}: no captures in this folder", hint="pcap and pcapng files are read")
        if len(self._problems) == len(self._paths) and all(not file.info.format for file in self._reading):
            first = self._problems[0]
            raise CaptureError(f"{first.path}: {first.what}", hint=first.hint)

    @property
    def infos(self) -> list[FileInfo]:
        return [file.info for file in self._reading]

    @property
    def bytes_total(self) -> int | None:
        """Size of all files, None when one of them has none (standard input)."""
        if not all(is_regular_file(path) for path, _ in self._paths):
            return None
        return sum(Path(path).stat().st_size for path, _ in self._paths)

    @property
    def bytes_read(self) -> int:
        """How much of bytes_total was read so far."""
        return sum(file.bytes_read for file in self._reading)
