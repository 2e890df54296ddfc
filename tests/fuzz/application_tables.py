"""Write the tables of all protocols as C, for targets that include protocols.h:
`python -m tests.fuzz.application_tables build/fuzz/application_tables.h`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spanline.protocols import applications
from spanline.protocols.compiling import APPLICATION, INSTRUCTION, compile_tables


def _row(values: Iterable[Any]) -> str:
    return "{" + ", ".join(_row(value) if isinstance(value, list) else f"{int(value)}U" for value in values) + "}"


def _rows(kind: str, name: str, rows: Iterable[Iterable[Any]]) -> str:
    return f"static const {kind} {name}[] = {{\n" + "".join(f"    {_row(row)},\n" for row in rows) + "};\n"


def _array(kind: str, name: str, values: npt.NDArray[Any]) -> str:
    return f"static const {kind} {name}[] = {_row(values)};\n"


def _numbers(name: str, table: npt.NDArray[np.uint8]) -> str:
    """(number, name) of what is not 0; the first of both is 0, so that there always is one."""
    return _rows("number_name", name, [(0, table[0]), *((n, table[n]) for n in np.flatnonzero(table))])


def _heuristics(table: npt.NDArray[np.uint32]) -> list[list[Any]]:
    """(program, name, set of first bytes)."""
    return [[*row[:2], row[2:]] for row in table.tolist()]


def header(tables: tuple[Any, ...]) -> str:
    """The text of application_tables.h; `tables` as compile_tables() gives them."""
    names, code, texts, text_ends, sets, rows, carried, heuristics, ports, ip, ether, llc, snap, announced = tables
    return "".join(
        [
            f"enum {{ TABLE_NAMES = {len(names)} }};\n",
            _rows("instruction", "table_code", code.view(INSTRUCTION).tolist()),
            _array("uint8_t", "table_texts", texts),
            _array("uint32_t", "table_text_ends", text_ends),
            _array("uint64_t", "table_sets", sets),
            _rows("application", "table_applications", rows.view(APPLICATION).tolist()),
            _rows("carried_rule", "table_carried", carried.tolist()),
            _rows("heuristic", "table_tcp_heuristics", _heuristics(heuristics[0])),
            _rows("heuristic", "table_udp_heuristics", _heuristics(heuristics[1])),
            _numbers("table_tcp_ports", ports[0]),
            _numbers("table_udp_ports", ports[1]),
            _numbers("table_ip_protocols", ip),
            _numbers("table_ether_types", ether),
            _numbers("table_llc_services", llc),
            _numbers("table_snap_protocols", snap),
            _array("uint8_t", "table_announced", np.array(announced)),
        ]
    )


def write_header(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header(compile_tables(applications())))


if __name__ == "__main__":
    write_header(Path(sys.argv[1]))
