"""Counters of switch ports in a store: what a collector read of interfaces, from files of CSV.

They stand in counters/, in a file for each import, named by the checksum of what it holds: the same file imported twice
is one, and a file with another checksum is damaged and left out.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import arrow_schema, column, numbers_of, strings
from spanline.errors import CaptureError, Problem, UsageError, quoted
from spanline.output import open_stream
from spanline.schema import Column
from spanline.store.manifest import Segment
from spanline.store.segments import checksum_of, checksum_of_file, make_folders
from spanline.store.verified import Verified, reason_of
from spanline.yaml_files import read_bounded

FOLDER = "counters"
MOST_BYTES = 256 << 20

COUNTED = ("in_bytes", "out_bytes", "in_packets", "out_packets", "errors", "drops")
READING = (
    Column("time", "", "time", "Time", "ns", "when it was read, UTC"),
    Column("switch", "", "string", "Switch"),
    Column("port", "", "string", "Port", "", "its name, as Ethernet1/1"),
    *(Column(name, "", "int64", name.replace("_", " "), "", "since the switch began to count") for name in COUNTED),
)
"""What was read of one port at one time: counters that grow. One that fell began again from 0."""

GROWN = {
    "total_traffic": ("in_bytes", "out_bytes"), "packets": ("in_packets", "out_packets"), "errors": ("errors",),
    "drops": ("drops",),
}  # fmt: skip
"""What growth() says of a port, and the counters whose growth that is."""

_SCHEMA = arrow_schema(READING)
_NEEDED = ("time", "switch", "port", "in_bytes", "out_bytes")
_ALWAYS = -(1 << 63), (1 << 63) - 1
_MOST = (1 << 62) - 1  # two of them have a sum in 64 bits
_MOST_SECONDS = 1 << 33  # of a time, either way: 64 bits of nanoseconds have room for 292 years
_ROW_GROUP = 1 << 16
"""Readings that a query passes over together, by their times."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_csv(path: str) -> pa.Table:
    """The readings (READING) of a file of CSV whose first line names columns: time (RFC 3339), switch, port, in_bytes,
    out_bytes, and perhaps in_packets, out_packets, errors and drops, 0 where they are missing. Others are not read.

    Raises UsageError, with line and column.
    """
    octets = read_bounded(path, MOST_BYTES, "counters of switch ports")
    try:
        rows = csv.reader(io.StringIO(octets.decode("utf-8-sig"), newline=""), strict=True)
        head = [name.strip().lower() for name in next(rows, [])]
        missing = [name for name in _NEEDED if name not in head]
        if missing:
            hint = f"the first line names the columns: {', '.join(one.name for one in READING)}"
            raise UsageError(f"{path}, line 1: no column {missing[0]}", hint=hint)
        at = {one.name: head.index(one.name) for one in READING if one.name in head}
        values: dict[str, list[int | str]] = {one.name: [] for one in READING}
        for row in rows:
            if row:
                _add(row, at, values, f"{path}, line {rows.line_num}")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text", hint="name a file of CSV with counters of switch ports") from None
    except csv.Error as error:
        raise UsageError(f"{path}, line {rows.line_num}: no CSV: {error}", hint="put texts in quotes") from None
    return _table(values)


def add(folder: Path, readings: pa.Table) -> bool:
    """Adds readings (READING) to the store in `folder`; they are on the disk then. False: it had them already.

    Raises OutputError when they cannot be written.
    """
    from pyarrow.parquet import write_table

    order = np.argsort(_numbers([readings], "time"), kind="stable")
    sink = pa.BufferOutputStream()
    write_table(
        readings.take(pa.array(order)),
        sink,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        write_page_checksum=True,
        store_schema=False,
    )
    content = sink.getvalue()
    path = folder / FOLDER / f"{checksum_of(content)}.parquet"
    if path.exists():
        return False
    make_folders(path.parent, folder)
    with open_stream(str(path), durable=True) as stream:
        stream.write(memoryview(content))
    return True


def growth(
    folder: Path, window: tuple[int | None, int | None] = (None, None), counted: Collection[str] = tuple(GROWN)
) -> tuple[pa.Table, list[Problem]]:
    """How much each port's counters grew from one reading to the next, and which files are damaged and left out.

    A row has first_seen and last_seen, the times of two readings that follow one another (int64, ns), and overlaps
    `window` (from, to without that one); switch and name, those of the port; and what is `counted` of total_traffic, in
    bytes in and out, packets, errors and drops (int64).
    """
    sums = {name: GROWN[name] for name in GROWN if name in counted}
    columns = ["time", "switch", "port", *(one for parts in sums.values() for one in parts)]
    groups: list[_Group] = []
    paths = _files(folder)
    faults = _faults(folder, paths)
    problems = [*faults.values()]
    with contextlib.ExitStack() as opened:
        for path in paths:
            if _name(path) not in faults:
                try:
                    groups += _groups(opened.enter_context(_opened(path)))
                except OSError as error:
                    problems.append(_problem(folder, path, error))
        return _growth(_read(groups, *window, columns), window, sums), problems


def _name(path: Path) -> str:
    return f"{FOLDER}/{path.name}"


def _faults(folder: Path, paths: Sequence[Path]) -> dict[str, Problem]:
    """What is wrong with files, by name; what was read once and has not changed is not read again."""
    files = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            files.append(Segment(_name(path), 0, 0, 0, path.stat().st_size, path.stem, 0, ()))
    id = f"counters-{checksum_of(str(folder.resolve()).encode())}"
    found = Verified(folder, id, {one.name for one in files}, _what_is_wrong).faults(files)
    return {name: dataclasses.replace(one, hint=_hint(folder)) for name, one in found.items()}


class _Group(NamedTuple):
    """A row group: the times of its first and last reading, and the file that it is in."""

    first: int
    last: int
    number: int
    file: Any

    def read(self, columns: list[str]) -> pa.Table:
        """Raises CaptureError for what is damaged although its checksum is right."""
        try:
            return self.file.read_row_group(self.number, columns)
        except pa.ArrowException as error:
            raise CaptureError(f"counters of switch ports that cannot be read: {error}") from error


def _groups(file: Any) -> Iterator[_Group]:
    at = file.schema_arrow.names.index("time")
    for number in range(file.metadata.num_row_groups):
        times = file.metadata.row_group(number).column(at).statistics
        if times is not None and times.has_min_max:
            yield _Group(times.min_raw, times.max_raw, number, file)
        elif file.metadata.row_group(number).num_rows:
            yield _Group(*_ALWAYS, number, file)


def _read(groups: Sequence[_Group], begin: int | None, end: int | None, columns: list[str]) -> list[pa.Table]:
    """The readings that growth in a window needs, and others; of them some columns.

    Where the window ends with the readings, what was before it is only needed until there is one of each port.
    """
    if begin is None or any(end is not None and one.first >= end for one in groups):
        return [one.read(columns) for one in groups]
    tables = [one.read(columns) for one in groups if one.last >= begin]
    names: dict[tuple[str, str], int] = {}
    found = [(_ports(one, names), _numbers([one], "time")) for one in tables]
    missing = {*range(len(names))}.difference(*(of[time < begin].tolist() for of, time in found))
    for one in sorted((one for one in groups if one.last < begin), key=lambda one: -one.last):
        if not missing:
            break
        tables.append(one.read(columns))
        missing.difference_update(_ports(tables[-1], names).tolist())
    return tables


def faults(folder: Path) -> dict[Path, Problem]:
    """The files of the store in `folder` that are damaged, and what is wrong with each; all of them are read."""
    found = {}
    for path in _files(folder):
        try:
            _readings(path)
        except OSError as error:
            found[path] = _problem(folder, path, error)
    return found


def _files(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*.parquet"))


def _readings(path: Path) -> pa.Table:
    """Those in a file, all of them. Raises OSError for what is damaged, or was never ours."""
    if wrong := _what_is_wrong(path):
        raise CaptureError(f"{path}: {wrong}")
    with _opened(path) as file:
        try:
            return file.read()
        except pa.ArrowException as error:
            raise CaptureError(f"{path}: no counters of switch ports: {error}") from error


def _opened(path: Path) -> Any:
    """pyarrow's ParquetFile, of which only the footer is read. Raises OSError for what was never ours."""
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path, page_checksum_verification=True, read_dictionary=["switch", "port"])
    except (pa.ArrowException, KeyError) as error:  # KeyError where it has no such column
        raise CaptureError(f"{path}: no counters of switch ports: {error}") from error
    if not file.schema.to_arrow_schema().equals(_SCHEMA) or any(_is_missing(one) for one in _parts(file.metadata)):
        file.close()
        raise CaptureError(f"{path}: no counters of switch ports")
    return file


def _what_is_wrong(path: Path, _: Segment | None = None) -> str:
    """ "" for nothing, as store.verified takes it. Raises OSError."""
    if not path.is_file():
        return "not a file"
    return "" if checksum_of_file(path) == path.stem else "its checksum is wrong"


def _parts(footer: Any) -> Iterator[Any]:
    """What is said of each column of each row group."""
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        yield from (group.column(n) for n in range(group.num_columns))


def _is_missing(part: Any) -> bool:
    """Whether there may be no value in a row."""
    told = part.statistics
    return told is None or not told.has_null_count or told.null_count > 0


def _problem(folder: Path, path: Path, error: OSError) -> Problem:
    return Problem(str(path), "damaged", reason_of(error, path), hint=_hint(folder))


def _hint(folder: Path) -> str:
    return f"its readings are left out; spanline store repair {folder} sets it aside; import them again"


def _add(row: Sequence[str], at: dict[str, int], values: dict[str, list[int | str]], where: str) -> None:
    if len(row) <= max(at.values()):
        raise UsageError(f"{where}: {len(row)} columns, and the first line names more", hint="complete the line")
    for name, texts in values.items():
        text = row[at[name]].strip() if name in at else "0"
        if name == "time":
            texts.append(_time(text, where))
        elif name not in COUNTED:
            texts.append(text)
        elif text.isascii() and text.isdigit() and int(text) <= _MOST:
            texts.append(int(text))
        else:
            raise UsageError(
                f"{where}, column {name}: {quoted(text)} is no whole number", hint="write what was counted"
            )


def _time(text: str, where: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        hint = "write it as 2026-01-31T08:00:00Z"
        raise UsageError(f"{where}, column time: {quoted(text)} is no time", hint=hint) from None
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    if abs(seconds) > _MOST_SECONDS:
        raise UsageError(f"{where}, column time: {quoted(text)} is too far away", hint="look at the collector's clock")
    return seconds * 10**9 + since.microseconds * 1000


def _table(values: dict[str, list[int | str]]) -> pa.Table:
    schema = arrow_schema(READING)
    arrays = []
    for field in schema:
        if field.type == pa.string():
            arrays.append(strings([str(text) for text in values[field.name]]))
        else:
            arrays.append(column(np.array(values[field.name], np.int64)).view(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _growth(
    tables: Sequence[pa.Table], window: tuple[int | None, int | None], sums: Mapping[str, Sequence[str]]
) -> pa.Table:
    names: dict[tuple[str, str], int] = {}
    of = np.concatenate([np.empty(0, np.int64), *(_ports(one, names) for one in tables)])
    time = _numbers(tables, "time")
    needed = _needed(of, time, window, len(names))
    of, time = of[needed], time[needed]
    # What was read twice at one time is read once.
    order = np.argsort(time, kind="stable")
    order = order[np.argsort(_narrow(of[order], len(names)), kind="stable")]
    order = order[np.r_[True, (np.diff(time[order]) != 0) | (np.diff(of[order]) != 0)][: len(order)]]
    of, time = of[order], time[order]
    begin, end = window
    follows = of[1:] == of[:-1]
    if begin is not None:
        follows &= time[1:] >= begin
    if end is not None:
        follows &= time[:-1] < end
    later = np.flatnonzero(follows) + 1
    grown = {name: np.zeros(len(later), np.int64) for name in sums}
    for name, parts in sums.items():
        for part in parts:
            values = _numbers(tables, part)[needed][order]
            difference = values[later] - values[later - 1]
            grown[name] += np.where(difference < 0, values[later], difference)
    which = column(of[later].astype(np.int32))
    return pa.table(
        {
            "first_seen": column(time[later - 1]),
            "last_seen": column(time[later]),
            "switch": pa.DictionaryArray.from_arrays(which, strings([switch for switch, _ in names])),
            "name": pa.DictionaryArray.from_arrays(which, strings([port for _, port in names])),
            **{name: column(values) for name, values in grown.items()},
        }
    )


def _narrow(numbers: npt.NDArray[np.int64], count: int) -> npt.NDArray[Any]:
    """Numbers below `count`, as those that numpy sorts in one pass where they are so few."""
    return numbers.astype(np.uint16) if count <= 1 << 16 else numbers


def _ports(readings: pa.Table, names: dict[tuple[str, str], int]) -> npt.NDArray[np.int64]:
    """The number of each reading's port; `names` gets those that it does not have."""
    if not len(readings):
        return np.empty(0, np.int64)
    texts, codes = [], []
    for name in ("switch", "port"):
        unified = readings[name].unify_dictionaries()
        texts.append(unified.chunk(0).dictionary.to_pylist())
        parts = [one.indices for one in unified.chunks]
        codes.append(numbers_of(pa.chunked_array(parts)).astype(np.int64))
    both = codes[0] * len(texts[1]) + codes[1]
    numbers = np.zeros(len(texts[0]) * len(texts[1]), np.int64)
    for pair in np.flatnonzero(np.bincount(both, minlength=len(numbers))).tolist():
        port = texts[0][pair // len(texts[1])], texts[1][pair % len(texts[1])]
        numbers[pair] = names.setdefault(port, len(names))
    found: npt.NDArray[np.int64] = numbers[both]
    return found


def _needed(
    of: npt.NDArray[np.int64], time: npt.NDArray[np.int64], window: tuple[int | None, int | None], ports: int
) -> npt.NDArray[np.int64]:
    """Indices of the readings in the window, and of each port of the last one before it and the first one behind it."""
    begin, end = window
    needed = np.ones(len(time), np.bool_)
    if begin is not None:
        before = time < begin
        last = np.full(ports, np.iinfo(np.int64).min)
        np.maximum.at(last, of[before], time[before])
        needed &= ~before | (time == last[of])
    if end is not None:
        behind = time >= end
        first = np.full(ports, np.iinfo(np.int64).max)
        np.minimum.at(first, of[behind], time[behind])
        needed &= ~behind | (time == first[of])
    return np.flatnonzero(needed)


def _numbers(tables: Sequence[pa.Table], name: str) -> npt.NDArray[np.int64]:
    found = [
        numbers_of(pa.chunked_array([part.view(pa.int64()) for part in one[name].chunks], pa.int64())) for one in tables
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)
