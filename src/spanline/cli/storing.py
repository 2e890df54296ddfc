"""Flows of captures into a store, each capture once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from spanline.chunk import Interfaces
from spanline.cli.crunch_segments import SEGMENT_TIME, StoredSegments
from spanline.cli.group import complain
from spanline.cli.options import Inputs
from spanline.errors import Problem
from spanline.pool import Pool
from spanline.sources.capture_file import CaptureFile, FileInfo
from spanline.sources.identity import head_inside, head_of, identity_inside, identity_of
from spanline.sources.live import PREFIXES
from spanline.sources.paths import expand
from spanline.sources.streams import is_regular_file
from spanline.stages.flows import ROWS_AT_ONCE, Flows
from spanline.store import Store


class Storing:
    """What of `inputs` is not yet in the store in `folder`, which is made if there is none.

    paths  what is to be read of them
    """

    def __init__(self, folder: str, inputs: Inputs) -> None:
        self._folder = folder
        self._is_live = any(path.startswith(PREFIXES) for path in inputs.paths)
        self._captures: dict[str, str] = {}
        """Their identities, by path."""
        self.paths: list[str] = list(inputs.paths)
        if not self._is_live:
            self._choose(inputs)

    def _choose(self, inputs: Inputs) -> None:
        """Leaves out what is in the store, what comes twice, and files of folders that are no captures.

        Raises UsageError and OutputError as Store does.
        """
        known = _Known(Store(self._folder, create=True).captures())
        self.paths = []
        left_out: list[str] = []
        for path, listed in expand(inputs.paths):
            if not is_regular_file(path):
                self.paths.append(path)  # what comes through a pipe has no identity
                continue
            identity = identity_of(path)
            there = known.name_of(path, identity)
            if there is not None:
                name = "" if Path(path).name == there else f", as {there}"
                left_out.append(f"{path}: already in the store {self._folder}{name}")
            elif not listed or _is_capture(path):
                known.add(path, identity)
                self._captures[path] = identity
                self.paths.append(path)
        if left_out and not self.paths:
            complain(f"{left_out[0]}{' and so on' if len(left_out) > 1 else ''}: nothing added")
            return
        for line in left_out:
            complain(f"{line}: left out")
        self.paths = self.paths or list(inputs.paths)

    @contextlib.contextmanager
    def open(self, segment_time: float) -> Iterator[StoredSegments]:
        """What takes the flows, which are in the store so often; all of them are when the block ends without an
        exception."""
        store = Store(self._folder, create=True)
        captures = [(identity, Path(path).name) for path, identity in self._captures.items()]
        with store.writing(captures, is_live=self._is_live) as writer:
            yield StoredSegments(writer, segment_time)

    def identified(self, files: Sequence[FileInfo]) -> list[tuple[str, str]]:
        """(identity, name) of the captures, now that they have been read: compressed ones also by what is in them."""
        inside = {info.path: info.identity for info in files}
        return [
            (f"{identity} {inside.get(path, '')}".rstrip(), Path(path).name)
            for path, identity in self._captures.items()
        ]


class _Known:
    """Captures that are in a store, or about to be, by their identities.

    What is in a compressed file is known before it is read only by its first 64 KiB. If those of another capture are
    the same, all of it is unpacked once more.
    """

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._heads = {head_of(identity) for identity in names}
        self._unread: dict[str, list[str]] = {}
        """By head, the paths of compressed files that are about to be read."""

    def name_of(self, path: str, identity: str) -> str | None:
        """What the capture in the file `path` is called, which is `identity` as it stands there; None: it is new."""
        head = head_inside(path)
        for other in self._unread.pop(head or head_of(identity), ()):
            self._note(identity_inside(other), other)
        found = self._names.get(identity)
        if found is None and head in self._heads:
            found = self._names.get(identity_inside(path))
        return found

    def add(self, path: str, identity: str) -> None:
        self._note(identity, path)
        if head := head_inside(path):
            self._unread.setdefault(head, []).append(path)

    def _note(self, identity: str, name: str) -> None:
        if identity:
            self._names[identity] = name
            self._heads.add(head_of(identity))


def _is_capture(path: str) -> bool:
    problems: list[Problem] = []
    peek = CaptureFile(path, Interfaces(), problems, Pool())
    next(peek.chunks(), None)
    peek.close()
    return all(problem.kind != "not-a-capture" for problem in problems)


class StoredFlows:
    """The flows of what a command reads for something else."""

    def __init__(self, segments: StoredSegments) -> None:
        self.stage = Flows()
        self._segments = segments

    def take(self) -> None:
        """Flows that have ended go to the store, when that is due or there are many."""
        if self.stage.pending >= ROWS_AT_ONCE or self._segments.is_due:
            self._segments.write(self.stage.drain()["flows"])

    def finish(self) -> None:
        """All others end."""
        for ended in self.stage.rest():
            self._segments.write(ended)


@contextlib.contextmanager
def stored_flows(folder: str, inputs: Inputs) -> Iterator[StoredFlows]:
    """All of them are in the store in `folder` when the block ends without an exception."""
    with Storing(folder, inputs).open(SEGMENT_TIME) as segments:
        yield StoredFlows(segments)
