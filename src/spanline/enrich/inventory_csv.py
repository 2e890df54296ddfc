"""Inventories in CSV: our own, with a column `section`, and what other tools export."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from spanline.enrich.entries import MOST_ROWS, Cell, Entry, Faults
from spanline.enrich.exports import EXPORTS, Export, normal
from spanline.enrich.fields import LISTS, SECTIONS
from spanline.errors import nearest, quoted

MOST_BYTES = 128 << 20
_LONGEST_FIELD = 1 << 16
_ARRAYS = re.compile(r"(?:System\.)?\w+\[\]|System\.\S+", re.ASCII)
_ABSENT = {"", "n/a", "null", "none"}
_SOME = ("vlan", "vcpus", "memory")  # 0 of these is none: a machine that is off has no memory assigned


def read_csv(path: str, octets: bytes, faults: Faults) -> Iterator[Entry]:
    """The rows in a file, as they stand there; what it has that is none goes to `faults`."""
    try:
        text = octets.decode("utf-16" if octets[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        faults.add(path, line, 0, "neither UTF-8 nor UTF-16 text", "export it with -Encoding UTF8")
        return
    lines = io.StringIO(text, newline="")
    skipped = 0
    if text.startswith("#TYPE "):  # Windows PowerShell says so of what it exports
        lines.readline()
        skipped = 1
    begin = lines.tell()
    delimiter = max(",;\t", key=lines.readline().count)
    lines.seek(begin)
    csv.field_size_limit(_LONGEST_FIELD)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    count = 0
    try:
        header = next(rows, [])
        sections = _Sections(path, header, skipped + 1, faults)
        if sections.is_known:
            at = rows.line_num
            for row in rows:
                entry = sections.entry(row, skipped + at + 1)
                at = rows.line_num
                if entry is not None:
                    yield entry
                    count += 1
                if count > MOST_ROWS:
                    faults.add(path, skipped + at, 0, f"more than {MOST_ROWS:,} rows", "leave out what can go")
                    return
    except csv.Error as error:
        faults.add(path, skipped + rows.line_num, 0, f"no CSV: {error}", "put texts with quotes in quotes")


class _Sections:
    """Makes entries of rows by the header of their columns."""

    def __init__(self, path: str, header: Sequence[str], line: int, faults: Faults) -> None:
        self._path = path
        self._header = header
        self._faults = faults
        self._export: Export | None = None
        names = [normal(name) for name in header]
        self._names = [name.strip().lower().replace(" ", "_") for name in header]
        self.is_known = True
        if "section" not in self._names:
            self._export = next((one for one in EXPORTS if one.marks.issubset(names)), None)
            if self._export is not None:
                self._names = [self._export.columns.get(name, "") for name in names]
                self._units = [self._export.units.get(name, "") for name in names]
            else:
                self.is_known = False
                shown = quoted(", ".join(header))
                hint = "begin with a column called section, or export it as docs/inventory.md says"
                faults.add(path, line, 0, f"no inventory has the columns {shown}", hint)
        repeated = [name for name in self._names if name and self._names.count(name) > 1]
        if self._export is None and repeated:
            column = len(self._names) - self._names[::-1].index(repeated[0])
            faults.add(path, line, column, f"the column {quoted(repeated[0])} is there twice", "leave one of them out")

    def entry(self, row: Sequence[str], line: int) -> Entry | None:
        """None of an empty row, or of one that is wrong."""
        if not any(text.strip() for text in row):
            return None
        if len(row) > len(self._names):
            what = f"{len(row)} columns, and {len(self._names)} in the header"
            self._faults.add(self._path, line, len(self._names) + 1, what, "put texts with separators in quotes")
            return None
        if self._export is not None:
            return self._exported(row, line)
        section = row[self._names.index("section")].strip().lower()
        if section not in (*SECTIONS, *LISTS):
            hint = nearest(section, (*SECTIONS, *LISTS)) or f"there are {', '.join((*SECTIONS, *LISTS))}"
            column = self._names.index("section") + 1
            self._faults.add(self._path, line, column, f"no section is called {quoted(section)}", hint)
            return None
        cells = {}
        lists = {one.name for one in SECTIONS.get(section, ()) if one.is_list}
        for n, (name, text) in enumerate(zip(self._names, row, strict=False), 1):
            if name != "section" and text.strip():
                parts = _parts(text) if name in lists else [text.strip()]
                cells[name] = tuple(Cell(part, line, n) for part in parts)
        return Entry(section, line, cells)

    def _exported(self, row: Sequence[str], line: int) -> Entry | None:
        assert self._export is not None
        cells: dict[str, tuple[Cell, ...]] = {}
        for n, (field, text) in enumerate(zip(self._names, row, strict=False)):
            text = text.strip()
            if not field or text.lower() in _ABSENT or (field in _SOME and text == "0"):
                continue
            if _ARRAYS.fullmatch(text):
                what = f"{quoted(self._header[n])} was not written out: {quoted(text)}"
                hint = f"export it with -join ';', as docs/inventory.md says of {self._export.tool}"
                self._faults.add(self._path, line, n + 1, what, hint)
                return None
            if field == "addresses":
                # Every interface has a link-local one, and the same may be another one's elsewhere.
                parts = [part for part in _parts(text) if not part.lower().startswith(("fe80:", "169.254."))]
            elif field == "macs":
                parts = [part for part in _parts(text) if part.strip("0:-.")]
            elif field in ("vcpus", "memory"):
                parts = [_number(text, self._units[n]) + self._units[n]]
            else:
                parts = [text]
            made = tuple(Cell(part, line, n + 1) for part in parts)
            if made and field in ("addresses", "macs"):
                cells[field] = (*cells.get(field, ()), *made)
            elif made:
                cells.setdefault(field, made)
        return Entry("vms", line, cells) if "name" in cells else None


def _parts(text: str) -> list[str]:
    """What a list's text has: separated by semicolons, commas or blanks; {…} and […] around it are PowerShell's and
    JSON's."""
    return [part.strip("\"'") for part in re.split(r"[;,\s]+", text.strip().strip("{}[]")) if part.strip("\"'")]


def _number(text: str, unit: str) -> str:
    """A number as we write them. 8,192 and 8.192 are RVTools' ways to say 8192 MiB; of GiB there are no thousands, and
    0,5 is PowerCLI's way to say 0.5 where it speaks German."""
    if unit == "GiB":
        return text.replace(",", ".")
    return re.sub(r"(?<=\d)[,. '\u00a0\u202f](?=\d{3}(?:\D|$))", "", text)
