"""The manifest: which segments a store consists of.

It is a log, one transaction a line: its checksum, a blank, and a JSON object. A transaction is there as soon as its
line is on the disk, with all that it says, and not before: whoever is killed while writing leaves half a line, which
readers pass over and the next writer cuts off. So it costs as little to add a segment to thousands as to none, and
readers never wait. Compaction writes the log anew, under another name first, and moves it to its place.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spanline.errors import OutputError, Problem
from spanline.output import open_stream
from spanline.system import BINARY

NAME = "manifest.log"

# Nothing else is read or removed, whoever wrote the line.
_SEGMENT_NAME = re.compile(r"\d{4}-\d\d-\d\d/\d\d/segment-[\w-]{1,100}\.parquet", re.ASCII)
_MOST = 1 << 63


@dataclass(frozen=True, slots=True)
class Segment:
    """name       of the file, in the store's folder
    rows
    begin      the earliest first_seen, ns
    end        the latest last_seen, ns
    size       of the file, bytes
    checksum   of the file: blake2b of 16 bytes, in hex
    arrived    when the flows came into the store, ns; of several times the latest
    runs       the ids of the runs that its flows are from
    """

    name: str
    rows: int
    begin: int
    end: int
    size: int
    checksum: str
    arrived: int
    runs: tuple[str, ...]

    @property
    def hour(self) -> str:
        """The folder that it is in: day and hour, UTC, of first_seen."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Run:
    """One time that flows were brought in.

    captures     identities of the files that they were made of, and their names; none where they were not of files.
                 That of a compressed file is two with a blank between, of the file and of what is in it
    is_live      whether they were of a live capture
    is_complete  all there is of the captures is in the store; the rest of the run is missing else
    """

    id: str
    captures: tuple[tuple[str, str], ...] = ()
    is_live: bool = False
    is_complete: bool = False

    @property
    def names(self) -> dict[str, str]:
        """Names of its captures, by each of their identities."""
        return {one: name for identity, name in self.captures for one in identity.split(" ")}


def run_of(said: dict[str, Any]) -> Run:
    """The run that asdict() of it, from JSON, says. Raises KeyError, TypeError or ValueError for what is none."""
    captures = tuple((identity, name) for identity, name in said["captures"])
    run = Run(**{**said, "captures": captures})
    if not all(isinstance(text, str) for capture in ((run.id,), *captures) for text in capture):
        raise TypeError("a text is none")
    return run


def segment_of(said: dict[str, Any]) -> Segment:
    """The same of a segment."""
    segment = Segment(**{**said, "name": _name_of(said["name"]), "runs": tuple(said["runs"])})
    numbers = (segment.rows, segment.begin, segment.end, segment.size, segment.arrived)
    if not all(type(number) is int and -_MOST <= number < _MOST for number in numbers) or segment.rows < 1:
        raise ValueError("a number is none")
    if not all(isinstance(text, str) for text in (segment.checksum, *segment.runs)):
        raise TypeError("a text is none")
    return segment


def _name_of(said: Any) -> str:
    if not isinstance(said, str) or _SEGMENT_NAME.fullmatch(said) is None:
        raise ValueError("no name of a segment")
    return said


@dataclass
class State:
    """What the manifest says.

    removed  names of segments that were there, and may still be because somebody read them
    """

    segments: dict[str, Segment] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """Whether what came last came from a live capture."""
        newest = max(self.segments.values(), key=lambda segment: segment.arrived, default=None)
        return newest is not None and any(self.runs[run].is_live for run in newest.runs if run in self.runs)

    def apply(self, transaction: dict[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError for what is no transaction; then nothing has changed."""
        runs = [run_of(one) for one in transaction.get("runs", ())]
        removed = [_name_of(name) for name in transaction.get("remove", ())]
        added = [segment_of(one) for one in transaction.get("add", ())]
        self.runs.update((run.id, run) for run in runs)
        for name in removed:
            self.segments.pop(name, None)
            self.removed.add(name)
        self.segments.update((segment.name, segment) for segment in added)

    def transaction(self) -> dict[str, Any]:
        """All of it as one transaction, without the runs of which nothing is left."""
        left = {run for segment in self.segments.values() for run in segment.runs}
        runs = [asdict(run) for run in self.runs.values() if run.id in left]
        add = [asdict(segment) for segment in self.segments.values()]
        return {"runs": runs, "remove": sorted(self.removed), "add": add}


class Manifest:
    """The log in `folder`. Whoever writes holds the lock of the writer."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def read(self) -> State:
        """What it says now; lines that are damaged are told as problems, and what they say is missing.

        Raises OSError when it cannot be read.
        """
        if not self._path.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        state = State()
        lines = self._path.read_bytes().split(b"\n")
        # Behind the last line's end there is nothing, or what a killed writer left.
        for number, line in enumerate(lines[:-1], 1):
            try:
                state.apply(_content(line))
            except (KeyError, TypeError, ValueError, RecursionError):
                hint = "mend it with spanline store repair"
                state.problems.append(Problem(str(self._path), "damaged", "a line is damaged", f"line {number}", hint))
        return state

    def add(self, transaction: dict[str, Any]) -> None:
        """The transaction is on the disk when this returns. Raises OutputError; then nothing has changed."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | BINARY)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        try:
            size = _complete(descriptor)
            try:
                os.ftruncate(descriptor, size)
                _write(descriptor, _line(transaction), size)
                os.fsync(descriptor)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def rewrite(self, state: State) -> None:
        """The log consists of `state` alone. Raises OutputError; then nothing has changed."""
        with open_stream(str(self._path), durable=True) as stream:
            stream.write(_line(state.transaction()))


def _line(transaction: dict[str, Any]) -> bytes:
    content = json.dumps({name: value for name, value in transaction.items() if value}, separators=(",", ":")).encode()
    return _checksum(content) + b" " + content + b"\n"


def _content(line: bytes) -> dict[str, Any]:
    checksum, _, content = line.partition(b" ")
    if checksum != _checksum(content):
        raise ValueError("its checksum is wrong")
    transaction = json.loads(content)
    if not isinstance(transaction, dict):
        raise TypeError("no transaction")
    return transaction


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=8).hexdigest().encode()


def _complete(descriptor: int) -> int:
    """Bytes of the file up to the end of its last whole line."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    while end > 0:
        start = max(0, end - (1 << 16))
        os.lseek(descriptor, start, os.SEEK_SET)
        at = os.read(descriptor, end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def _write(descriptor: int, data: bytes, at: int) -> None:
    os.lseek(descriptor, at, os.SEEK_SET)
    while data:
        data = data[os.write(descriptor, data) :]


def transaction(*, runs: Iterable[Run] = (), add: Sequence[Segment] = (), remove: Iterable[str] = ()) -> dict[str, Any]:
    """What Manifest.add() takes."""
    return {"runs": [asdict(run) for run in runs], "remove": list(remove), "add": [asdict(one) for one in add]}
