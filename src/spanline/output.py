"""Tables into files and pipes, as they come: Parquet, CSV or JSON.

A file is written under another name beside its place, and moved there when it is complete: what has a file's final
name is whole, and what failed leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from spanline.arrow import readable, textual
from spanline.errors import OutputError
from spanline.system import BINARY

# Rows that compress well together, and that a query passes over together.
_ROW_GROUP = 1 << 16


# What JSON writes in another way than it is.
_NOT_PLAIN = r"[^ !#-\[\]-~]"


_unfinished: set[Path] = set()
_TURNS = 100


def discard_unfinished() -> None:
    """Removes unfinished files and temporary folders, when the process is about to end without any more ado."""
    for path in tuple(_unfinished):
        with contextlib.suppress(OSError):
            if path.is_dir():
                _remove_folder(path)
            else:
                path.unlink()


def _remove_folder(folder: Path) -> None:
    """Other threads may be writing into it: what they add meanwhile goes in the next turn."""
    for _ in range(_TURNS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


class Writer(Protocol):
    """Takes Tables of one schema; addresses and labels in them become text."""

    def write(self, table: pa.Table) -> None:
        """Whoever reads text from a pipe gets these rows at once: of a live capture, the next may be long in coming."""

    def close(self) -> None:
        """Writes what comes after the last row. At least one Table, empty perhaps, has been written."""


class Stream:
    """Bytes on their way to a file, as pyarrow wants it: with a position, which a pipe does not know, and no seeking.

    Once it is dropped, nothing more is written: pyarrow's writers write when they are forgotten.
    """

    closed = False

    def __init__(self, raw: BinaryIO, path: str | None) -> None:
        self._raw: BinaryIO | None = raw
        self._path = path
        self._position = 0

    def write(self, data: bytes | memoryview) -> int:
        """Raises OutputError; for standard output whatever OSError it was."""
        count = memoryview(data).nbytes
        if self._raw is not None:
            with _told(self._path):
                self._raw.write(data)
            self._position += count
        return count

    def drop(self) -> None:
        self._raw = None

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        if self._raw is not None:
            with _told(self._path):
                self._raw.flush()

    def close(self) -> None:
        """What opened the file closes it."""

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def isatty(self) -> bool:
        return False


class _Parquet:
    """Times are timestamps in ns UTC, durations int64 ns that Arrow reads as durations."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._writer: Any = None
        self._waiting: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        if sum(waiting.num_rows for waiting in self._waiting) >= _ROW_GROUP:
            self._write()

    def close(self) -> None:
        if self._waiting:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        # Not in one piece: what is written is encoded chunk by chunk, and a copy would take as much memory again.
        table = readable(pa.concat_tables(self._waiting))
        self._waiting.clear()
        if self._writer is None:
            self._writer = _parquet_writer(self._stream, table.schema)
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)


def _parquet_writer(stream: Stream, schema: pa.Schema) -> Any:
    """What has write_table() and close()."""
    encodings = _encodings(schema)
    options = {
        "version": "2.6",
        "compression": "zstd",
        "use_dictionary": [name for name in schema.names if name not in encodings],
        "column_encoding": encodings,
    }
    try:
        # pyarrow.parquet stands around this class and imports file systems of every cloud, with TLS, which takes as
        # long as the rest of pyarrow.
        from pyarrow._parquet import ParquetWriter

        return ParquetWriter(stream, schema, writer_engine_version="V2", **options)
    except (ImportError, TypeError):
        from pyarrow.parquet import ParquetWriter

        return ParquetWriter(stream, schema, **options)


def _encodings(schema: pa.Schema) -> dict[str, str]:
    """Encodings of columns that a dictionary would make larger, or no smaller than it is slow to make.

    Differences of neighbours leave zstd little to do: they take two thirds of the time, and no more room.
    """
    encodings = {}
    for field in schema:
        kind = field.type
        if field.name == "community_id":
            encodings[field.name] = "DELTA_LENGTH_BYTE_ARRAY"
        elif pa.types.is_boolean(kind):
            encodings[field.name] = "PLAIN"
        elif pa.types.is_temporal(kind) or (pa.types.is_integer(kind) and kind.bit_width > 16):
            encodings[field.name] = "DELTA_BINARY_PACKED"
    return encodings


class _Csv:
    """With a header. Times in RFC 3339, durations as integer ns, nothing for null, blanks between values of a list,
    in which nan is null."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._writer: Any = None

    def write(self, table: pa.Table) -> None:
        from pyarrow.csv import CSVWriter

        table = _without_lists(textual(table))
        if self._writer is None:
            self._writer = CSVWriter(self._stream, table.schema)
        self._writer.write_table(table)
        self._stream.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _without_lists(table: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    for n, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            lists = table.column(n).cast(pa.list_(pa.string())).combine_chunks()
            values = pc.fill_null(lists.values, "nan")
            known = pa.ListArray.from_arrays(lists.offsets, values, mask=lists.is_null() if lists.null_count else None)
            text = pc.binary_join(known, " ")
            table = table.set_column(n, field.name, text)
    return table


class _Json:
    """One array with an object a line. Times in RFC 3339, durations as integer ns."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._begun = False

    def write(self, table: pa.Table) -> None:
        for batch in textual(table).to_batches(max_chunksize=1 << 14):
            if batch.num_rows:
                text = _objects(batch)
                self._stream.write(text if self._begun else b"[" + text[1:])
                self._begun = True
        self._stream.flush()

    def close(self) -> None:
        self._stream.write(b"\n]\n" if self._begun else b"[]\n")


WRITERS: dict[str, Callable[[Stream], Writer]] = {"parquet": _Parquet, "csv": _Csv, "json": _Json}


def write_objects(objects: Iterable[Mapping[str, Any]], stream: Stream) -> None:
    """A JSON array of what is no Table."""
    import json

    begun = False
    for one in objects:
        stream.write((",\n" if begun else "[\n").encode() + json.dumps(one, indent=2).encode())
        begun = True
    stream.write(b"\n]\n" if begun else b"[]\n")


def _objects(batch: pa.RecordBatch) -> bytes:
    """A JSON object for each row, each behind a comma and a line's end; made column by column, not row by row."""
    import json

    import pyarrow.compute as pc

    parts = []
    for n, field in enumerate(batch.schema):
        name = (", " if n else ",\n{") + json.dumps(field.name) + ": "
        parts += [pa.scalar(name), _values(batch.column(n))]
    rows = pc.binary_join_element_wise(*parts, "}", "")
    # The texts of a fresh array follow one another in its last buffer.
    return memoryview(rows.buffers()[2])[: pc.sum(pc.binary_length(rows)).as_py()].tobytes()


def _values(column: pa.Array) -> pa.Array:
    """Each value in JSON."""
    import json

    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return pc.fill_null(column.cast(pa.string()), "null")
    if pa.types.is_string(kind):
        if pc.any(pc.match_substring_regex(column, _NOT_PLAIN)).as_py():
            column = pa.array([None if text is None else json.dumps(text)[1:-1] for text in column.to_pylist()], kind)
        return pc.fill_null(pc.binary_join_element_wise('"', column, '"', ""), "null")
    return pa.array([json.dumps(value) for value in column.to_pylist()], pa.string())


@contextlib.contextmanager
def open_output(path: str | None, format: str, *, private: bool = False, durable: bool = False) -> Iterator[Writer]:
    """A Writer to the file `path`, or to standard output for None; complete when the block ends without an exception.

    `format` is a key of WRITERS; nobody else can read a `private` file; a `durable` one is on the disk when it has its
    name, and outlives a crash of the machine. Raises OutputError when the file cannot be written.
    """
    with open_stream(path, private=private, durable=durable) as stream:
        writer = WRITERS[format](stream)
        try:
            yield writer
            writer.close()
        except BaseException:
            stream.drop()
            raise


@contextlib.contextmanager
def open_stream(path: str | None, *, private: bool = False, durable: bool = False) -> Iterator[Stream]:
    """The bytes of the file `path`, or of standard output for None, by the same rules."""
    if path is None:
        stream = Stream(sys.stdout.buffer, None)
        yield stream
        stream.flush()
        return
    # A link is kept, and what it leads to replaced. A device or a pipe is written to, by the path that was given: there
    # are pipes that have no other one.
    place = Path(path)
    special = place.exists() and not place.is_file()
    if not special:
        place = place.resolve()
    unfinished = None if special else place.with_name(f".{place.name}.{os.getpid()}.part")
    if unfinished:
        _unfinished.add(unfinished)
    try:
        with _told(path):
            raw = _created(unfinished, 0o600 if private else 0o666) if unfinished else place.open("wb")
    except BaseException:
        if unfinished:
            _unfinished.discard(unfinished)
        raise
    try:
        yield Stream(raw, path)
        with _told(path):
            if durable:
                raw.flush()
                os.fsync(raw.fileno())
            raw.close()
            if unfinished:
                if place.exists() and not private:
                    unfinished.chmod(stat.S_IMODE(place.stat().st_mode))
                unfinished.replace(place)
                if durable:
                    sync_folder(place.parent)
    finally:
        with contextlib.suppress(OSError):
            raw.close()
        if unfinished:
            unfinished.unlink(missing_ok=True)
            _unfinished.discard(unfinished)


@contextlib.contextmanager
def temporary_folder(purpose: str, again: Path | None = None) -> Iterator[Path]:
    """A folder that is removed with all that is in it when the block ends, or a signal ends the process.

    again  where it was before. Raises OSError when it cannot be made there.
    """
    import tempfile

    if again is not None:
        again.mkdir(mode=0o700)
    folder = again or Path(tempfile.mkdtemp(prefix=f"spanline-{purpose}-"))
    _unfinished.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _unfinished.discard(folder)


def sync_folder(folder: Path) -> None:
    """So that the names in it are on the disk."""
    if os.name != "posix":  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _created(path: Path, mode: int) -> BinaryIO:
    """A file that was not there, with its mode from the first moment on."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, mode), "wb")


@contextlib.contextmanager
def _told(path: str | None) -> Iterator[None]:
    """Turns an OSError into an OutputError that names the file."""
    try:
        yield
    except OSError as error:
        if path is None or error.errno == errno.EPIPE:
            raise
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
