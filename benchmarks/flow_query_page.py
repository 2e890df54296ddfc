"""Fill docs/flow-queries.md anew: what its commands print, and docs/pictures, in the folder that `make demo` wrote.

    python benchmarks/flow_query_page.py build/demo

A section is a command and, behind it, a link to its picture: the same command with --chart draws that.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs/flow-queries.md"
BLOCK = re.compile(r"^```console\n\$ (?P<command>[^\n]*)\n.*?^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"\]\((?P<path>pictures/[^)]+\.svg)\)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the store stands")
    folder = parser.parse_args().folder
    sections = re.split(r"^(?=## )", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    PAGE.write_text("".join(filled(section, folder) for section in sections), encoding="utf-8")


def filled(section: str, folder: Path) -> str:
    """The section with what its command prints; its picture is drawn."""
    block, picture = BLOCK.search(section), PICTURE.search(section)
    if block is None:
        return section
    command = block["command"]
    if picture:
        target = PAGE.parent / picture["path"]
        target.parent.mkdir(exist_ok=True)
        printed(f"{command.split(' | ')[0]} --chart {target}", folder)
    shown = "".join(f"{line.rstrip()}\n" for line in printed(command, folder).splitlines())
    return section[: block.start()] + f"```console\n$ {command}\n{shown}```" + section[block.end() :]


def printed(command: str, folder: Path) -> str:
    """stdout and stderr, as tests/test_documentation.py compares them."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "80"}
    ran = subprocess.run(
        command, shell=True, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if ran.returncode:
        raise SystemExit(f"{command}: exit code {ran.returncode}\n{ran.stdout}")
    return ran.stdout


if __name__ == "__main__":
    main()
