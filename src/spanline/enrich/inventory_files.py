"""Inventories from files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from spanline.enrich.entries import Cell, Entry, Faults
from spanline.enrich.fields import EXPECTED, LISTS, SECTIONS, Field, FieldKind
from spanline.enrich.inventory import Inventory, Row
from spanline.enrich.inventory_csv import MOST_BYTES as MOST_CSV_BYTES
from spanline.enrich.inventory_csv import read_csv
from spanline.enrich.inventory_yaml import MOST_BYTES as MOST_YAML_BYTES
from spanline.enrich.inventory_yaml import read_yaml
from spanline.enrich.values import RefusedError, value_of
from spanline.errors import UsageError, nearest, quoted
from spanline.yaml_files import read_bounded

_LIST = (Field("cidr", FieldKind.NETWORK, is_needed=True),)
# Where one row of a VM says what another one does not, it is said of it in both: exports tell of the VM and of its
# adapters apart.
_OF_THE_VM = ("host", "cluster", "default_gateway", "vcpus", "memory", "application")


def read_inventory(paths: Sequence[str]) -> Inventory:
    """What files say together: *.csv is CSV, of ours or of other tools (exports.py), everything else YAML.

    Raises InventoryError, a UsageError, which names all that is wrong: file, line, column, and what was expected.
    """
    faults = Faults()
    rows: dict[str, list[Row]] = {name: [] for name in SECTIONS}
    lists: dict[str, list[Any]] = {name: [] for name in LISTS}
    for path in dict.fromkeys(paths):
        for entry in _entries(path, faults):
            values = _Reader(path, entry, faults).values()
            if values is not None and entry.section in LISTS:
                lists[entry.section].append(values["cidr"])
            elif values is not None:
                rows[entry.section].append(Row(values, path, entry.line))
    faults.tell()
    rows["vms"] = _completed(rows["vms"])
    return Inventory(rows, lists["east_west"], lists["internet"])


def _entries(path: str, faults: Faults) -> Iterator[Entry]:
    is_csv = path.lower().endswith(".csv")
    try:
        octets = read_bounded(path, MOST_CSV_BYTES if is_csv else MOST_YAML_BYTES, "an inventory")
    except UsageError as error:
        faults.add_line(str(error))
        return
    yield from read_csv(path, octets, faults) if is_csv else read_yaml(path, octets, faults)


class _Reader:
    """Makes values of a row's texts."""

    def __init__(self, path: str, entry: Entry, faults: Faults) -> None:
        self._path = path
        self._entry = entry
        self._faults = faults
        self._fields = {field.name: field for field in SECTIONS.get(entry.section, _LIST)}
        self._is_whole = True

    def _complain(self, cell: Cell | None, what: str, hint: str) -> None:
        line, column = (cell.line, cell.column) if cell else (self._entry.line, 0)
        self._faults.add(self._path, line, column, f"{self._entry.section}: {what}", hint)
        self._is_whole = False

    def values(self) -> dict[str, Any] | None:
        """None when something is wrong."""
        values = {}
        for name, cells in self._entry.cells.items():
            field = self._fields.get(name)
            if field is None:
                hint = nearest(name.lower(), tuple(self._fields)) or f"there are {', '.join(self._fields)}"
                self._complain(cells[0] if cells else None, f"no field is called {quoted(name)}", hint)
                continue
            made = [self._value(field, cell) for cell in cells]
            if len(made) > 1 and not field.is_list:
                self._complain(cells[1], f"{name} has several values", "write one")
            if made:
                values[name] = tuple(made) if field.is_list else made[0]
        for field in self._fields.values():
            if field.is_needed and field.name not in self._entry.cells:
                self._complain(None, f"a row without {field.name}", f"add {field.name}")
        self._check(values)
        return values if self._is_whole else None

    def _value(self, field: Field, cell: Cell) -> Any:
        expected = f"write {EXPECTED[field.kind]}"
        if cell.wrong or not cell.text:
            self._complain(cell, f"{field.name}: {cell.wrong or 'nothing'} and no {field.kind.value}", expected)
            return None
        try:
            return value_of(field.kind, cell.text)
        except (ValueError, OverflowError) as error:
            why = str(error) if isinstance(error, RefusedError) else ""
            what = f"{field.name}: {quoted(cell.text)} {why or f'is no {field.kind.value}'}"
            self._complain(cell, what, expected)
            return None

    def _check(self, values: dict[str, Any]) -> None:
        """What fields say of each other."""
        if self._entry.section == "l2_networks" and values.keys().isdisjoint(("vlan", "vni", "cidrs")):
            self._complain(None, "a row that says neither vlan, vni nor cidrs", "add one of them")
        begin, end = values.get("valid_from"), values.get("valid_to")
        if begin is not None and end is not None and begin >= end:
            cell = self._entry.cells["valid_to"][0]
            self._complain(cell, "valid_to: not behind valid_from", "exchange them, or leave one out")


def _completed(vms: list[Row]) -> list[Row]:
    """Rows of the same VM at the same time, each with what only others of them say."""
    by_name: dict[str, list[Row]] = {}
    for row in vms:
        by_name.setdefault(row.get("name"), []).append(row)
    return [_with(row, by_name[row.get("name")]) for row in vms]


def _with(row: Row, others: Sequence[Row]) -> Row:
    missing = [name for name in _OF_THE_VM if row.get(name) is None]
    if len(others) == 1 or not missing:
        return row
    own = row.scope
    found: dict[str, Any] = {}
    for other in others:
        scope = other.scope
        if scope.begin < own.end and own.begin < scope.end:
            for name in missing:
                if other.get(name) is not None:
                    found.setdefault(name, other.get(name))
    return Row({**row.values, **found}, row.path, row.line) if found else row
