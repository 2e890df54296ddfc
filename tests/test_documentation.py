"""Every command and program in README.md and docs/ is run, and what it prints is what the page shows.

Oracle, where a table sets a command of another program beside one of ours: what that program prints.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.made_once import made_once

TOP = Path(__file__).resolve().parent.parent
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A cell of a table that is a command; in a table, | is written \|.
ROW = re.compile(r"^\| (?:`(?P<theirs>[^`]+)`)? ?\| `(?P<ours>spanline [^`]+)` \|(?P<notes>.*)\|$", re.MULTILINE)
EXIT_CODE = re.compile(r"# exit code (\d+)$")
# The page about what arrives now: its commands need a mirror.
LIVE = TOP / "docs/live-capture.md"
# Pages about files that a reader has in the same folder; others are about the folder in which `make` works.
BESIDE_THE_CAPTURES = {"azure-network-watcher.md", "flow-queries.md", "oci-vtap.md", "plaintext.md", "tshark.md"}


def blocks() -> list[tuple[str, str, str]]:
    """(page, language, text) of every code block that can be run."""
    pages = [page for page in PAGES if page != LIVE]
    return [(page.name, *match.groups()) for page in pages for match in BLOCK.finditer(page.read_text())]


def rows() -> list[tuple[str, str, str, str]]:
    """(page, command of another program or "", command of ours, notes) of every row of a table."""
    return [
        (page.name, *(part.replace(r"\|", "|").strip() for part in match.groups(default="")))
        for page in PAGES
        for match in ROW.finditer(page.read_text())
        if page.name in BESIDE_THE_CAPTURES
    ]


def _make_demo(folder: Path) -> None:
    for program, capture in (
        ("demo.py", "demo.pcap"),
        ("demo_azure.py", "azure.cap"),
        ("demo_oci.py", "oci.pcap"),
        ("demo_oci.py", "oci-ingress.pcap"),
        ("history.py", "history"),
    ):
        options = ["--ingress"] if "ingress" in capture else []
        subprocess.run([sys.executable, TOP / "benchmarks" / program, *options, folder / capture], check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the pages' paths exist, as after `make demo`."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(made_once(tmp_path_factory, "demo", _make_demo), folder / "build/demo")
    # With this key, hmacs of secrets are those that the pages show.
    key = folder / "state/spanline/key"
    key.parent.mkdir(mode=0o700, parents=True)
    key.touch(0o600)
    key.write_bytes(bytes(32))
    return folder


def place(page: str, folder: Path) -> Path:
    """Where the commands of a page are run."""
    return folder / "build/demo" if page in BESIDE_THE_CAPTURES else folder


def environment(folder: Path) -> dict[str, str]:
    """The installed commands on the path, a terminal's usual width, and state of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "COLUMNS": "80",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
    }


def run(command: str, page: str, folder: Path, stderr: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        shell=True,
        cwd=place(page, folder),
        env=environment(folder),
        text=True,
        stdout=subprocess.PIPE,
        stderr=stderr,
        timeout=60,
    )


def commands(text: str) -> list[tuple[str, int | None, str]]:
    """(command, exit code, output shown) of a console block: a command follows `$ `.

    The exit code is that of a comment behind the command, else 0 for a command of which no output is shown.
    """
    found = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        first, _, shown = part.partition("\n")
        told = EXIT_CODE.search(first)
        code = int(told[1]) if told else None if shown.strip() else 0
        found.append((first.split("  #")[0].strip(), code, shown.rstrip()))
    return found


@pytest.mark.parametrize(("page", "language", "text"), blocks())
def test_what_a_page_shows_is_what_happens(page: str, language: str, text: str, folder: Path) -> None:
    if language == "python":
        program = [sys.executable, "-W", "error", "-c", text]
        subprocess.run(program, cwd=place(page, folder), env=environment(folder), check=True)
        return
    for command, code, shown in commands(text):
        ran = run(command, page, folder, subprocess.STDOUT)
        assert "Traceback" not in ran.stdout
        assert code is None or ran.returncode == code, f"{command}: {ran.returncode}\n{ran.stdout}"
        lines = [line.rstrip() for line in ran.stdout.splitlines()]
        assert not shown or [line.rstrip() for line in shown.splitlines()] == lines, command


@pytest.mark.parametrize(("page", "theirs", "ours", "notes"), rows())
def test_commands_side_by_side_do_the_same(page: str, theirs: str, ours: str, notes: str, folder: Path) -> None:
    printed = []
    for command in filter(None, (theirs, ours)):
        ran = run(command, page, folder, subprocess.PIPE)
        assert ran.returncode == 0, f"{command}: {ran.stderr}"
        printed.append(ran.stdout)
    if notes.startswith("same text"):
        assert printed[0] == printed[1], ours
        assert printed[0].strip()


def test_pages_have_something_to_run() -> None:
    assert {language for _, language, _ in blocks()} == {"console", "python"}
    # A row that the pattern does not see is not run.
    text = "".join((TOP / "docs" / page).read_text() for page in BESIDE_THE_CAPTURES)
    assert len(rows()) == sum("`spanline" in line and line.startswith(("| `", "| | `")) for line in text.splitlines())
    assert sum(notes.startswith("same text") for *_, notes in rows()) >= 10
