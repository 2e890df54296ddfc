"""Segments: files of flows of one hour, written once and never changed."""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from spanline.arrow import numbers_of
from spanline.errors import CaptureError, OutputError
from spanline.output import open_stream
from spanline.store.layout import ENCODINGS, SCHEMA, WITH_STATISTICS
from spanline.store.manifest import Run, Segment, run_of, segment_of

ROW_GROUP = 1 << 17
"""Rows that an engine passes over together, by their least and largest values."""

PATTERN = "????-??-??/??/segment-*.parquet"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = 3600 * 10**9
# A dictionary of the addresses of a row group.
_DICTIONARY_BYTES = 4 << 20
_ABOUT = b"spanline.segment"
_PIECE = 1 << 20
# More than writers put into a row group: rows, and bytes of them before they are compressed, six times what is usual.
_MOST_ROWS = 1 << 20
_MOST_BYTES_A_ROW = 2048
_FEW_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class About:
    """What a segment says of itself, by which a lost manifest is made again.

    runs      those that its flows are from; one that is complete is so by what is in this segment
    replaces  names of segments whose flows are in this one
    """

    arrived: int
    runs: tuple[Run, ...]
    replaces: tuple[str, ...] = ()


def by_hour(stored: pa.Table) -> Iterator[pa.Table]:
    """Rows of each hour (UTC) of first_seen, in order of first_seen."""
    begins = numbers_of(stored.column("first_seen"))
    if not len(begins):
        return
    if np.any(begins[1:] < begins[:-1]):
        order = np.argsort(begins, kind="stable")
        stored, begins = stored.take(pa.array(order)), begins[order]
    hours = begins // _HOUR
    edges = [0, *(np.flatnonzero(hours[1:] != hours[:-1]) + 1).tolist(), len(hours)]
    for start, end in itertools.pairwise(edges):
        yield stored.slice(start, end - start)


def write_segment(folder: Path, stored: pa.Table, about: About) -> Segment:
    """A new segment of `stored`, rows of one hour in order, as layout.encoded() gives them; it is on the disk then.

    Raises OutputError; then there is nothing.
    """
    begins, ends = (numbers_of(stored.column(name)) for name in ("first_seen", "last_seen"))
    content = _content(stored, about)
    # Not by fromtimestamp(), which on Windows knows nothing before 1970.
    hour, arrived = (_EPOCH + timedelta(seconds=time // 10**9) for time in (int(begins[0]), about.arrived))
    name = f"{hour:%Y-%m-%d/%H}/segment-{arrived:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.parquet"
    path = folder / name
    make_folders(path.parent, folder)
    with open_stream(str(path), durable=True) as stream:
        stream.write(memoryview(content))
    return Segment(
        name=name,
        rows=len(stored),
        begin=int(begins[0]),
        end=int(ends.max()),
        size=content.size,
        checksum=checksum_of(content),
        arrived=about.arrived,
        runs=tuple(run.id for run in about.runs),
    )


def make_folders(folder: Path, within: Path) -> None:
    """Makes the folder and those above it up to `within`, so that their names are on the disk. Raises OutputError."""
    from spanline.output import sync_folder

    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for above in (folder.parent, *folder.parent.parents):
            sync_folder(above)
            if above == within:
                break
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def _content(stored: pa.Table, about: About) -> pa.Buffer:
    """The bytes of the file."""
    # pyarrow.parquet stands around this class and imports file systems of every cloud, with TLS.
    from pyarrow._parquet import ParquetWriter

    sink = pa.BufferOutputStream()
    writer = ParquetWriter(
        sink,
        stored.schema,
        writer_engine_version="V2",
        version="2.6",
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in stored.schema.names if name not in ENCODINGS],
        column_encoding=dict(ENCODINGS),
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        write_statistics=list(WITH_STATISTICS),
        write_page_checksum=True,
        store_schema=False,
    )
    writer.add_key_value_metadata({_ABOUT: json.dumps(asdict(about)).encode()})
    writer.write_table(stored, row_group_size=ROW_GROUP)
    writer.close()
    return sink.getvalue()


def checksum_of(content: Any) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def checksum_of_file(path: Path) -> str:
    """Raises OSError."""
    checksum = hashlib.blake2b(digest_size=16)
    with open(path, "rb", buffering=0) as file:
        piece = memoryview(bytearray(_PIECE))
        while count := file.readinto(piece):
            checksum.update(piece[:count])
    return checksum.hexdigest()


def read_segment(path: Path, columns: list[str] | None = None) -> pa.Table:
    """All of it, as it is stored; what its pages' checksums do not confirm raises OSError, as a missing file does."""
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path, page_checksum_verification=True) as file:
            stored = file.read(columns)
    except pa.ArrowException as error:
        raise CaptureError(f"{path}: not a segment: {error}") from error
    return stored


def read_footer(path: Path) -> Any:
    """pyarrow's FileMetaData of a segment: what it says of its rows and columns, which are not read.

    Raises OSError for what is none, and for what would take more memory than a segment does.
    """
    from pyarrow._parquet import ParquetReader

    reader = ParquetReader()
    try:
        reader.open(str(path), arrow_extensions_enabled=True)
        footer, columns = reader.metadata, reader.schema_arrow.remove_metadata()
    except pa.ArrowException as error:
        raise CaptureError(f"{path}: not a segment: {error}") from error
    finally:
        reader.close()
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    if not columns.equals(SCHEMA):
        raise CaptureError(f"{path}: not a segment: other columns")
    if not 0 < sum(group.num_rows for group in groups) == footer.num_rows:
        raise CaptureError(f"{path}: not a segment: it says two things of how many rows it has")
    if any(_is_too_large(group) for group in groups):
        raise CaptureError(f"{path}: not a segment: larger than any that spanline writes")
    return footer


def _is_too_large(group: Any) -> bool:
    octets = sum(group.column(n).total_uncompressed_size for n in range(group.num_columns))
    return bool(group.num_rows > _MOST_ROWS or octets > _FEW_BYTES + _MOST_BYTES_A_ROW * group.num_rows)


def read_about(path: Path) -> tuple[About, Segment]:
    """What a segment says of itself, and what the manifest has to say of it; all of it is read.

    Raises OSError for what is none.
    """
    footer = read_footer(path)
    try:
        said = json.loads(footer.metadata[_ABOUT])
        runs = tuple(map(run_of, said["runs"]))
        about = About(said["arrived"], runs, tuple(said["replaces"]))
        begin, end = _span(path, footer.num_row_groups)
        segment = segment_of(
            {
                "name": path.relative_to(path.parents[2]).as_posix(),
                "rows": footer.num_rows,
                "begin": begin,
                "end": end,
                "size": path.stat().st_size,
                "checksum": checksum_of_file(path),
                "arrived": about.arrived,
                "runs": [run.id for run in runs],
            }
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CaptureError(f"{path}: not a segment: {error}") from error
    return about, segment


def _span(path: Path, groups: int) -> tuple[int, int]:
    """The earliest first_seen and the latest last_seen; all is read, and with it the checksums of all pages."""
    from pyarrow.parquet import ParquetFile

    begins, ends = [], []
    try:
        with ParquetFile(path, page_checksum_verification=True) as file:
            for n in range(groups):
                group = file.read_row_group(n)
                begins.append(int(numbers_of(group.column("first_seen")).min()))
                ends.append(int(numbers_of(group.column("last_seen")).max()))
    except pa.ArrowException as error:
        raise CaptureError(f"{path}: not a segment: {error}") from error
    return min(begins), max(ends)


def now() -> int:
    """ns since the epoch."""
    return time.time_ns()
