"""Every command and program in README.md and docs/ is run, and what it prints is what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, str]]:
    """(page, language, text) of every code block that can be run."""
    return [(page.name, *match.groups()) for page in PAGES for match in BLOCK.finditer(page.read_text())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the pages' paths exist, as after `make demo`."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "build/demo").mkdir(parents=True)
    subprocess.run([sys.executable, TOP / "benchmarks/demo.py", folder / "build/demo/demo.pcap"], check=True)
    return folder


def environment() -> dict[str, str]:
    """The installed commands on the path, and a terminal's usual width."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COLUMNS": "80"}


def commands(text: str) -> list[tuple[str, str]]:
    """(command, output shown) of a console block: a command follows `$ `."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(part.partition("\n")[0].split("  #")[0].strip(), part.partition("\n")[2].rstrip()) for part in parts]


@pytest.mark.parametrize(("page", "language", "text"), blocks())
def test_what_a_page_shows_is_what_happens(page: str, language: str, text: str, folder: Path) -> None:
    if language == "python":
        subprocess.run([sys.executable, "-W", "error", "-c", text], cwd=folder, env=environment(), check=True)
        return
    for command, shown in commands(text):
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        ran = subprocess.run(command, shell=True, cwd=folder, env=environment(), text=True, check=False, **both)
        assert "Traceback" not in ran.stdout
        lines = [line.rstrip() for line in ran.stdout.splitlines()]
        assert not shown or [line.rstrip() for line in shown.splitlines()] == lines, command


def test_pages_have_something_to_run() -> None:
    assert {language for _, language, _ in blocks()} == {"console", "python"}
