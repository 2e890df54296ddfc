"""Asks tshark which frames filters select: `python -m tests.filters.make [--all]` writes the .tsv beside each .txt.

Only what is not there yet is asked for, or with --all everything. It takes a quarter of a second for each filter and
capture.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conftest import shared_folder
from tests.filters.table import EDGES, FAMILIES, SELDOM, Table, compact, write_crafted


def ask(capture: Path, filter: str) -> str:
    """The frames that tshark shows. Raises CalledProcessError when it refuses the filter."""
    command = ["tshark", "-n", "-r", str(capture), "-Y", filter, "-T", "fields", "-e", "frame.number"]
    environment = {**os.environ, "TZ": "UTC"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    return compact([int(number) for number in done.stdout.split()])


def make(table: Table, folder: Path, everything: bool) -> None:
    known = {} if everything or not table.path.exists() else table.expected
    lines = ["\t".join(["filter", *table.captures])]
    for filter in table.filters:
        frames = known.get(filter) or [ask(folder / capture, filter) for capture in table.captures]
        lines.append("\t".join([filter, *frames]))
    table.path.write_text("\n".join(lines) + "\n")


def main(everything: bool) -> None:
    with TemporaryDirectory() as folder:
        write_crafted(Path(folder))
        for table in EDGES, SELDOM:
            make(table, Path(folder), everything)
    make(FAMILIES, shared_folder("captures"), everything)


if __name__ == "__main__":
    main("--all" in sys.argv)
