"""One writer, and any readers meanwhile: files that are locked, which ends with the process however that ends.

A run that brings flows in is the only one for as long as it lasts, which for a live capture is weeks. What changes the
store, its commits and what looks after it meanwhile, takes turns.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from spanline.errors import OutputError
from spanline.system import BINARY

try:
    import fcntl
except ImportError:  # Windows: files that are open there cannot be removed, and a second writer is not noticed
    fcntl = None  # type: ignore[assignment]

WRITER = "writer.lock"
CHANGES = "changes.lock"
READERS = "readers.lock"


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """No other run brings flows into the store in `folder` inside. Raises OutputError, with the process that does."""
    descriptor = _opened(folder / WRITER)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                process = os.read(descriptor, 20).decode(errors="replace").strip() or "another"
                raise OutputError(
                    f"{folder}: process {process} writes to this store",
                    hint="a store has one writer; wait until it has ended, or write to another store",
                ) from error
            with contextlib.suppress(OSError):  # a full disk does not keep anybody from making room
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Nobody else changes the store inside; waits for others, who do not take long. Raises OutputError."""
    descriptor = _opened(folder / CHANGES)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
    except OSError as error:
        raise OutputError(f"cannot write to the store {path.parent}: {error.strerror or error}") from error


@contextlib.contextmanager
def reader(folder: Path) -> Iterator[None]:
    """No segment that the manifest names is removed inside.

    Raises OSError when there is no lock, and none can be made.
    """
    try:
        # Not O_CREAT: Linux refuses it for others' files in folders like /tmp.
        descriptor = os.open(folder / READERS, os.O_RDONLY | BINARY)
    except FileNotFoundError:
        descriptor = os.open(folder / READERS, os.O_RDONLY | os.O_CREAT | BINARY, 0o666)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def no_readers(folder: Path) -> Iterator[bool]:
    """Whether nobody reads; then nobody begins to inside."""
    descriptor = os.open(folder / READERS, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
    try:
        alone = True
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alone = False
        yield alone
    finally:
        os.close(descriptor)
