"""Which segments have been found to be as they were written, so that each is read for that once."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spanline import keeping
from spanline.errors import Problem
from spanline.relay import cores
from spanline.store.manifest import Segment
from spanline.store.segments import checksum_of_file, read_footer

_Seen = tuple[str, str, int, int, int]
"""Name, checksum, inode, size and mtime in ns."""
_Wrong = Callable[[Path, Segment], str]


class Verified:
    """What this user has verified of the store `id` in `folder`; kept in the user's cache folder, and forgotten of all
    that are none of `segments`.

    wrong  tells what is wrong with a file, "" for nothing, or raises OSError; that of segments by default
    """

    def __init__(self, folder: Path, id: str, segments: Collection[str], wrong: _Wrong | None = None) -> None:
        self._folder = folder
        self._wrong = wrong or _what_is_wrong
        self._segments = segments
        self._name = f"store-{id}"
        kept = keeping.remembered(self._name)
        self._seen: set[_Seen] = {tuple(one) for one in json.loads(kept)} if kept else set()

    def faults(self, segments: Sequence[Segment], every: bool = False) -> dict[str, Problem]:
        """What is wrong with segments, by name, those that are as they were written left out; `every` one is read.

        A file that has its inode, size and time of change since it was verified is not read again. What a footer says
        is read too: whoever writes a segment can write its checksum.
        """
        found: dict[str, Problem] = {}
        unknown: list[tuple[Segment, _Seen]] = []
        for segment in segments:
            try:
                seen = self._identity(segment)
            except OSError as error:
                found[segment.name] = problem_of(self._folder, segment, error.strerror or str(error))
                continue
            if every or seen not in self._seen:
                unknown.append((segment, seen))
        with ThreadPoolExecutor(cores()) as pool:
            read = list(pool.map(lambda one: self._fault(one[0]), unknown))
        for (segment, _), fault in zip(unknown, read, strict=True):
            if fault is not None:
                found[segment.name] = fault
        if unknown:
            self._seen = {seen for seen in self._seen if seen[0] in self._segments}
            self._seen -= {seen for segment, seen in unknown if segment.name in found}
            self._seen |= {seen for segment, seen in unknown if segment.name not in found}
            keeping.remember(self._name, json.dumps(sorted(self._seen)).encode())
        return found

    def _identity(self, segment: Segment) -> _Seen:
        found = (self._folder / segment.name).stat()
        return segment.name, segment.checksum, found.st_ino, found.st_size, found.st_mtime_ns

    def _fault(self, segment: Segment) -> Problem | None:
        path = self._folder / segment.name
        try:
            what = self._wrong(path, segment)
        except OSError as error:
            what = reason_of(error, path)
        return problem_of(self._folder, segment, what) if what else None


def problem_of(folder: Path, segment: Segment, what: str) -> Problem:
    """What to tell of a segment that is left out."""
    hint = f"its {segment.rows:,} flows are left out; spanline store repair {folder} sets it aside"
    return Problem(str(folder / segment.name), "damaged", what, hint=hint)


def reason_of(error: OSError, path: Path) -> str:
    """Why `path` could not be read, without its name."""
    return error.strerror or str(error).removeprefix(f"{path}: ")


def _what_is_wrong(path: Path, segment: Segment) -> str:
    """What is wrong with a file; "" for nothing. Raises OSError."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # a FIFO would wait for somebody who writes
        return "not a file"
    if found.st_size != segment.size:
        return f"{found.st_size:,} bytes long and not {segment.size:,}"
    if checksum_of_file(path) != segment.checksum:
        return "its checksum is wrong"
    rows = read_footer(path).num_rows
    return "" if rows == segment.rows else f"it has {rows:,} rows, and the manifest says {segment.rows:,}"
