"""Asks tshark which frames the filters of filters.txt select, for expected.tsv: `python -m tests.filters.make [--all]`.

Only what expected.tsv does not have yet is asked for, or with --all everything. It takes a quarter of a second for each
filter and capture.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import shared_folder
from tests.filters.table import CAPTURES, EXPECTED, compact, expected, filters


def ask(capture: Path, filter: str) -> list[int]:
    """The numbers of the frames that tshark shows. Raises CalledProcessError when it refuses the filter."""
    command = ["tshark", "-n", "-r", str(capture), "-Y", filter, "-T", "fields", "-e", "frame.number"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [int(number) for number in done.stdout.split()]


def main(everything: bool) -> None:
    known = {} if everything or not EXPECTED.exists() else expected()
    folder = shared_folder("captures")
    lines = ["\t".join(["filter", *CAPTURES])]
    for filter in filters():
        frames = known.get(filter) or [compact(ask(folder / capture, filter)) for capture in CAPTURES]
        lines.append("\t".join([filter, *frames]))
    EXPECTED.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main("--all" in sys.argv)
