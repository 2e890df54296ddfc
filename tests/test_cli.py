"""The command line: usage, faults, and what `spanline crunch` writes."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import spanline
from spanline.cli import options, text
from spanline.cli.group import COMMANDS
from spanline.cli.group import spanline as command_line
from spanline.stages import flows as flows_stage
from spanline.stages.round_trips import METRICS
from spanline.stages.sorted_flows import ORDERS
from tests.commands import handshake, many_flows, question, run, spawn
from tests.craft import arp, ethernet
from tests.craft_files import Pcapng, pcap

# --- the group


def test_help_names_every_command_and_exit_code() -> None:
    shown = run("--help").output
    for name in COMMANDS:
        assert shown.count(f"\n  {name} ") == 1
        assert "Usage: spanline" in run(name, "--help").output
    for code in (" 0 ", " 2 ", " 130 ", " 141 "):
        assert code in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_help_waits_for_no_heavy_import() -> None:
    program = """
import sys
from spanline.cli.group import spanline
try:
    spanline.main(["flows", "--help"])
except SystemExit:
    pass
print(*(name for name in ("numpy", "pyarrow", "rich") if name in sys.modules), file=sys.stderr, end="")
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stderr == b""


def test_version() -> None:
    assert run("--version").output == f"spanline {spanline.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    script = run("completion", shell).stdout
    assert "_SPANLINE_COMPLETE" in script
    assert f"{shell}_complete" in script


def test_completion_completes() -> None:
    environment = {**os.environ, "_SPANLINE_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    for words, found in (("spanline flows --by", b"plain,--by-vlan"), ("spanline rtt fil", b"file,fil")):
        assert spawn(env={**environment, "COMP_WORDS": words}).stdout.split() == [found]


def test_choices_and_defaults_are_those_of_the_stages() -> None:
    assert f"[{'|'.join(ORDERS)}]" in run("flows", "--help").output
    assert f"[{'|'.join(METRICS)}]" in run("rtt", "--help").output
    shown = " ".join(run("crunch", "--help").output.split())
    assert f"[default: {flows_stage.IDLE_TIMEOUT:.0f}]" in shown
    assert f"[default: {flows_stage.ACTIVE_TIMEOUT:.0f}]" in shown
    assert options.size_in_bytes("1G") == flows_stage.MEMORY


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flows"], "missing argument 'PATH...'"),
        (["nonsense"], "spanline: no such command 'nonsense' (see spanline --help)"),
        (["crunch", "a.pcap"], "missing option '-o'"),
        (["crunch", "a.pcap", "-o", "a.xlsx"], "use .parquet, .csv, .json, or --format"),
        (["crunch", "a.pcap", "-o", "a"], "use .parquet, .csv, .json, a/ for a folder, or --format"),
        (["flows", "a.pcap", "--idle-timeout", "0"], "neither a number of seconds above 0 nor 'off'"),
        (["flows", "a.pcap", "--idle-timeout", "nan"], "neither a number of seconds above 0 nor 'off'"),
        (["flows", "a.pcap", "--active-timeout", "soon"], "neither a number of seconds above 0 nor 'off'"),
        (["flows", "a.pcap", "--memory", "much"], "is not a size: write 500M or 1G"),
        (["flows", "a.pcap", "--vxlan-port", "0"], "0 is not in the range"),
        (["flows", "a.pcap", "--sort", "size"], "is not one of"),
        (["packets", "a.pcap", "-n", "-1"], "-1 is not in the range"),
        (["info", "a.pcap", "--format", "xml"], "is not one of"),
        (["completion", "tcsh"], "is not one of"),
    ],
)
def test_wrong_usage_says_what_is_right(arguments: list[str], message: str) -> None:
    [line] = run(*arguments, code=2).stderr.splitlines()
    assert line.startswith("spanline: ")
    assert message in line


@pytest.mark.parametrize(
    ("given", "count"), [("1G", 1 << 30), ("500M", 500 << 20), ("1.5GiB", 3 << 29), ("64kb", 65536), ("77", 77)]
)
def test_sizes(given: str, count: int) -> None:
    assert options.size_in_bytes(given) == count


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (None, "–"), (0, "0 ns"), (999, "999 ns"), (1000, "1.00 µs"), (9994, "9.99 µs"), (9995, "10.0 µs"),
        (99_950, "100 µs"), (999_499, "999 µs"), (999_500, "1.00 ms"), (1_156_808, "1.16 ms"), (-1500, "-1.50 µs"),
        (2_350_000_000, "2.35 s"), (86_400 * 10**9, "86400 s"),
    ],
)  # fmt: skip
def test_durations_have_three_digits(nanoseconds: int | None, shown: str) -> None:
    assert text.duration(nanoseconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (9726, "9.73 kB"), (999_500, "1.00 MB"), (5e15, "5000 TB")],
)
def test_sizes_have_three_digits(count: float, shown: str) -> None:
    assert text.size(count) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0"), (99_999, "99999"), (100_000, "100k"), (1_234_567, "1.23M")])
def test_counts_have_five_places(count: int, shown: str) -> None:
    assert text.quantity(count) == shown


# --- faults


@pytest.mark.parametrize("command", ["flows", "rtt", "packets", "info"])
def test_a_fault_is_one_line_after_the_results(cut: Path, command: str) -> None:
    result = run(command, cut, code=2)
    assert "10.0.0.2" in result.stdout or "eth:ip:tcp" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"spanline: {cut}, byte ")
    assert "truncated in the middle of a record" in line


@pytest.mark.parametrize("command", ["flows", "rtt", "packets", "info"])
def test_files_that_are_no_captures_get_a_line_each(tmp_path: Path, command: str) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("these are only notes, and not a capture")
    result = run(command, tmp_path / "missing.pcap", other, code=2)
    assert result.stdout == ""
    missing, notes = result.stderr.splitlines()
    assert missing.startswith(f"spanline: {tmp_path / 'missing.pcap'}: ")
    assert notes.startswith(f"spanline: {other}: this is not a capture file")


@pytest.mark.parametrize("command", ["flows", "rtt", "packets", "info"])
def test_a_folder_without_captures_is_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "notes.txt").write_text("these are only notes, and not a capture")
    (line,) = run(command, tmp_path, code=2).stderr.splitlines()
    assert line.startswith(f"spanline: {tmp_path}: no captures in this folder")


@pytest.mark.parametrize("arguments", [["flows"], ["info"], ["packets", "-n", "1"]])
def test_other_files_in_a_folder_are_no_fault(capture: Path, arguments: list[str]) -> None:
    (capture.parent / "a.txt").write_text("these are only notes, and not a capture")
    assert run(*arguments, capture.parent).stderr == ""


def test_what_a_file_says_never_acts_on_the_terminal(tmp_path: Path) -> None:
    evil = "eth0\x1b[2J\x07\r\n[bold]no[/bold] \u202e:smile: \x9b31m"
    ng = Pcapng()
    path = tmp_path / "evil\x1b[31m\n.pcapng"
    section = ng.section(application=evil, comment=evil, hardware=evil)
    path.write_bytes(section + ng.interface(name=evil, description=evil) + ng.enhanced(ethernet() / arp()) + b"\1")
    for command in ("info", "flows", "packets"):
        result = run(command, path, code=2)
        assert all(letter.isprintable() for line in result.output.split("\n") for letter in line)
        assert "evil\\x1b[31m\\n.pcapng" in result.output
    assert "[bold]no[/bold] \\u202e:smile: \\x9b31m" in run("info", path, code=2).stdout


def test_memory_that_is_too_small_is_told(tmp_path: Path) -> None:
    path = many_flows(tmp_path, 40_000)
    result = run("flows", path, "--memory", "1M", "-n", "1")
    assert "flows ended early to stay within --memory" in result.stderr
    assert "evicted 0 flows" in run("crunch", path, "-o", tmp_path / "a.csv").stderr


# --- crunch


def test_crunch_writes_the_flows_and_accounts_for_every_frame(capture: Path, tmp_path: Path) -> None:
    result = run("crunch", capture, "-o", tmp_path / "flows.parquet")
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "2 flows of 5 frames" in line
    assert "; read 5 = decoded 5 + undecodable 0; decoded 5 = in flows 4 + not in flows 1; evicted 0 flows" in line
    table = pq.read_table(tmp_path / "flows.parquet")
    assert table.schema.names == spanline.flows(capture).schema.names
    assert table.column("destination").to_pylist() == ["10.0.0.2", "10.0.0.2"]
    assert table.column("community_id").null_count == 0


def test_crunch_writes_the_same_in_every_format(capture: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "json"):
        run("crunch", capture, "-o", tmp_path / f"flows.{suffix}", "-q")
    objects = json.loads((tmp_path / "flows.json").read_text())
    assert [one["handshake_rtt"] for one in objects] == [1_750_000, None]
    assert objects[0]["first_seen"] == "2023-11-14T22:13:20.000000000Z"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "flows.csv").read_text())))
    texts = {"None": "", "True": "true", "False": "false"}
    assert rows == [{name: texts.get(str(value), str(value)) for name, value in one.items()} for one in objects]


def test_crunch_writes_flows_as_they_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spanline.stages import flows

    monkeypatch.setattr(flows, "ROWS_AT_ONCE", 1)
    paths = []
    for hour in range(3):
        path = tmp_path / f"{hour}.pcap"
        path.write_bytes(pcap([question(hour * 3600 * 10**9)]))
        paths.append(path)
    run("crunch", *paths, "-o", "-", "--format", "json")
    result = run("crunch", *paths, "-o", "-", "--format", "json", "-q")
    assert len(json.loads(result.stdout)) == 3
    assert result.stderr == ""


def test_flow_options_reach_the_flow_table(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([*handshake(vni=1), *handshake(vni=2)[:1], question(), question(3 * 10**9)]))

    def count(*arguments: str) -> int:
        return len(json.loads(run("flows", path, "--format", "json", *arguments).stdout))

    assert count() == 3
    assert count("--no-vni") == 2
    assert count("--idle-timeout", "1") == 4
    assert count("--idle-timeout", "off", "--active-timeout", "1") == 4
    assert count("--vxlan-port", "4788") == 2


def test_a_failed_crunch_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (line,) = run("crunch", tmp_path / "missing", "-o", tmp_path / "in" / "flows.csv", code=2).stderr.splitlines()
    assert "missing" in line
    assert list((tmp_path / "in").iterdir()) == []
    (line,) = run("crunch", tmp_path / "missing", "-o", tmp_path / "no" / "flows.csv", code=2).stderr.splitlines()
    assert line == f"spanline: cannot write {tmp_path}/no/flows.csv: No such file or directory"


# --- the shared captures


def test_no_shared_capture_ends_in_a_traceback(captures: Path) -> None:
    runner = CliRunner()
    for path in sorted(captures.glob("*/*")):
        for arguments in (["info"], ["flows", "-n", "20"], ["packets", "-n", "50"]):
            result = runner.invoke(command_line, [*arguments, str(path)], env={"COLUMNS": "80"})
            where = f"{arguments} {path.name}"
            assert result.exception is None or isinstance(result.exception, SystemExit), where
            assert result.exit_code in (0, 2), where
            assert (result.exit_code == 2) == bool(result.stderr), where
            assert all(line.isprintable() for line in result.output.split("\n")), where


def test_info_has_a_row_for_each_file_in_csv_and_parquet(capture: Path, cut: Path) -> None:
    facts = json.loads(run("info", capture, cut, "--format", "json", code=2).stdout)
    rows = list(csv.DictReader(io.StringIO(run("info", capture, cut, "--format", "csv", code=2).stdout)))
    assert [row["file"] for row in rows] == [str(capture), str(cut)]
    for row, one in zip(rows, facts, strict=True):
        for name in ("packets", "data_size", "duration", "first_packet", "decoded"):
            assert row[name] == str(one[name])
    run("info", capture, "-o", capture.with_suffix(".parquet"))
    table = pq.read_table(capture.with_suffix(".parquet"))
    assert (table.num_rows, table["packets"].to_pylist()) == (1, [facts[0]["packets"]])
