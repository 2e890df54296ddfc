"""`spanline query` without a query: queries one by one, on a real terminal that somebody types at.

Oracle: what is typed and what has to be seen then, set down by hand; flows of a small capture, counted by hand.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.commands import many_flows, run, spawn
from tests.terminal import Terminal

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="terminals are Linux's"),
    pytest.mark.usefixtures("apart"),
]
PROMPT = "spanline>"
# A query that would take hours, in the engine itself.
ENDLESS = """
import spanline.query.running as running
plain = running.Session.run
def run(session, plan):
    print("it runs", flush=True)
    with session.limited():
        session.connection.execute("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b")
def choose(session, plan):
    return (run if len(plan.steps) > 0 and "endless" in str(plan.steps) else plain)(session, plan)
running.Session.run = choose
"""


@pytest.fixture
def store(capture: Path, tmp_path: Path) -> Path:
    run("crunch", capture, "--store", tmp_path / "store", "-q")
    return tmp_path / "store"


def inventory(folder: Path) -> Path:
    file = folder / "inventory.yaml"
    vms = [{"name": "web 1", "addresses": ["10.0.0.1"]}, {"name": "db-1", "addresses": ["10.0.0.2"]}]
    file.write_text(yaml.safe_dump({"vms": vms}))
    return file


def test_queries_are_answered_one_after_the_other(store: Path, tmp_path: Path) -> None:
    """The second knows the first by the arrow up; a fault is marked, and stays one; Ctrl-D leaves."""
    with Terminal(["query", "--store", store], tmp_path) as terminal:
        assert "Ctrl-D leaves" in terminal.wait_for(PROMPT)
        terminal.press("sum(packets) of flows group by Port\r")
        assert "443" in terminal.wait_for("about ")
        terminal.wait_for(PROMPT)
        terminal.press("flows group by Prot\r")
        terminal.wait_for("spanline: Flows have no 'Prot'; did you mean Port?")
        terminal.wait_for("flows group by Prot\n               ^~~~")
        terminal.wait_for(PROMPT)
        terminal.press("\x1b[A\x1b[A\r")
        assert "443" in terminal.wait_for("about ")
        terminal.wait_for(PROMPT)
        terminal.press("\x04")
        assert terminal.end() == 0


def test_tab_completes_names_and_values(store: Path, tmp_path: Path) -> None:
    with Terminal(["query", "--store", store, "--inventory", inventory(tmp_path)], tmp_path) as terminal:
        terminal.wait_for(PROMPT)
        terminal.press("flows where source v")
        terminal.wait_for("source v")
        terminal.press("\t")
        terminal.wait_for("VM")
        terminal.press(" = we")
        terminal.wait_for("we")
        terminal.press("\t")
        terminal.wait_for("'web 1'")
        terminal.press("\r")
        terminal.wait_for("web 1")
        assert "10.0.0.1" in terminal.wait_for("about ")


def test_history_is_kept_for_nobody_else(store: Path, tmp_path: Path) -> None:
    for first in (True, False):
        with Terminal(["query", "--store", store, "-q"], tmp_path) as terminal:
            terminal.wait_for(PROMPT)
            if first:
                terminal.press("count of flows")
            while "count of flows" not in terminal.heard:  # it is read meanwhile
                terminal.press("" if first else "\x1b[A")
                terminal.listen(0.5)
            terminal.press("\r")
            terminal.wait_for("Count")
            terminal.wait_for(PROMPT)
            terminal.press("\\q\r")
            assert terminal.end() == 0
    file = tmp_path / "state/spanline/queries"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "+count of flows" in file.read_text().splitlines()


def test_without_a_place_for_history_it_is_forgotten(store: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").write_text("a file")
    with Terminal(["query", "--store", store], tmp_path) as terminal:
        terminal.wait_for("spanline: what is asked is forgotten at the end")
        terminal.wait_for(PROMPT)
        terminal.press("count of flows\r")
        terminal.wait_for("about ")


def test_ctrl_c_ends_the_query_and_not_the_program(store: Path, tmp_path: Path) -> None:
    with Terminal(["query", "--store", store], tmp_path, before=ENDLESS) as terminal:
        terminal.wait_for(PROMPT)
        for _ in range(2):
            terminal.press("count of flows where source ip = 10.9.8.7 and app protocol = endless\r")
            terminal.wait_for("it runs")
            time.sleep(0.3)
            began = time.monotonic()
            terminal.press("\x03")
            terminal.wait_for("the query was ended")
            assert time.monotonic() - began < 30
            terminal.wait_for(PROMPT)
        terminal.press("half a que\x03")  # empties the line
        terminal.wait_for(PROMPT)
        terminal.press("count of flows\r")
        terminal.wait_for("about ")
        terminal.wait_for(PROMPT)
        terminal.press("\x04")
        assert terminal.end() == 0


@pytest.mark.parametrize("when", ["asked", "running"])
def test_a_signal_ends_it_and_leaves_the_terminal_as_it_was(when: str, store: Path, tmp_path: Path) -> None:
    with Terminal(["query", "--store", store], tmp_path, before=ENDLESS) as terminal:
        before = terminal.modes()
        terminal.wait_for(PROMPT)
        if when == "running":
            terminal.press("count of flows where app protocol = endless\r")
            terminal.wait_for("it runs")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == 143
        assert terminal.modes() == before


def test_what_is_pasted_is_cleaned(store: Path, tmp_path: Path) -> None:
    """From a web page, over three lines, with a number before it."""
    pasted = "7. <span>sum(packets) of flows</span>\r\n  group by\r\n Port;"
    with Terminal(["query", "--store", store], tmp_path) as terminal:
        terminal.wait_for(PROMPT)
        terminal.press(f"\x1b[200~{pasted}\x1b[201~")
        terminal.wait_for("sum(packets) of flows group by Port")
        terminal.press("\r")
        assert "443" in terminal.wait_for("about ")


def test_answers_end_with_the_screen(tmp_path: Path) -> None:
    with Terminal(["query", "--on", many_flows(tmp_path, 90)], tmp_path, lines=20) as terminal:
        terminal.wait_for(PROMPT)
        terminal.press("flows group by source port\r")
        terminal.wait_for("14 of 90 rows; \\all shows all")
        terminal.wait_for(PROMPT)
        terminal.press("\\all\r")
        terminal.wait_for("\\all\n")
        assert terminal.wait_for(PROMPT).count("\n") > 90


def test_what_can_be_said_beside_queries(store: Path, tmp_path: Path) -> None:
    run("query", "--save", "ports", "flows where port = $port")
    with Terminal(["query", "--store", store, "-q"], tmp_path) as terminal:
        terminal.wait_for(PROMPT)
        terminal.press("\\?\r")
        assert 10 < terminal.wait_for("docs/language.md").count("\n") < 24
        terminal.wait_for(PROMPT)
        terminal.press("\\all\r")
        terminal.wait_for("nothing has been asked yet")
        terminal.wait_for(PROMPT)
        terminal.press("\\saved\r")
        terminal.wait_for("@ports  port=…  flows where port = $port")
        terminal.wait_for(PROMPT)
        terminal.press("@po\t")
        terminal.wait_for("ports")
        terminal.press(" po\t")
        terminal.wait_for("port=")
        terminal.press("53\r")
        terminal.wait_for("10.0.0.2")
        terminal.wait_for(PROMPT)
        terminal.press("@ports\r")
        terminal.wait_for("@ports needs a value of port")
        terminal.wait_for(PROMPT)
        terminal.press("exit\r")
        assert terminal.end() == 0


def test_a_store_that_goes_away_is_told(store: Path, tmp_path: Path) -> None:
    with Terminal(["query", "--store", store], tmp_path) as terminal:
        terminal.wait_for(PROMPT)
        (store / "manifest.log").unlink()
        terminal.press("flows\r")
        terminal.wait_for("the manifest of this store is missing")
        terminal.wait_for(PROMPT)


@pytest.mark.parametrize("options", [[], ["--explain", "sql"], ["--chart", "x.html"], ["--format", "json"]])
def test_without_a_terminal_a_query_is_missing(options: list[str], store: Path) -> None:
    ended = spawn("query", "--store", store, *options, stdin=-3)
    assert ended.returncode == 2
    assert ended.stdout == b""
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith("spanline: a query is missing")


def test_only_the_prompt_takes_what_it_is_made_with(store: Path) -> None:
    program = (
        "import sys; from spanline.cli.group import spanline; spanline(['query', *sys.argv[1:]], standalone_mode=False)"
    )
    shown = "; print('prompt_toolkit' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program + shown, "count of flows", "--store", store],
        capture_output=True,
        text=True,
        env=os.environ,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "False"
