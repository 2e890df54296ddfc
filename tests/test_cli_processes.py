"""The program among others: exit codes, pipes, signals and terminals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import spanline
from tests.commands import PROGRAM, many_flows, question, spawn
from tests.craft_files import pcap


def test_the_program_ends_with_the_exit_code(capture: Path, cut: Path) -> None:
    assert spawn("flows", capture).returncode == 0
    assert spawn("flows", cut).returncode == 2
    assert spawn("flows").returncode == 2


def test_the_package_is_the_program() -> None:
    """For who has no spanline on the path. Oracle: the program that setuptools makes."""
    said = [
        subprocess.run([*program, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
        for program in (PROGRAM, (sys.executable, "-m", "spanline"))
    ]
    assert said[0] == said[1] == f"spanline {spanline.__version__}\n"


def test_captures_come_by_standard_input_too(capture: Path) -> None:
    ran = spawn("flows", "-", "--format", "json", input=capture.read_bytes())
    assert (len(json.loads(ran.stdout)), ran.stderr) == (2, b"")
    assert spawn("info", "-", input=capture.read_bytes()).stdout.startswith(b"standard input\n")


CLOSED = [
    ("2>&-", ["info"], 0, b""),
    ("0<&-", ["info"], 0, b""),
    ("2>&- 0<&-", ["info"], 0, b""),
    (">&-", ["info"], 2, b"spanline: standard output: Bad file descriptor\n"),
    ("2>&- >&- 0<&-", ["info"], 2, b""),
]


@pytest.mark.parametrize(("streams", "arguments", "code", "said"), CLOSED)
def test_standard_streams_may_be_closed(
    capture: Path, streams: str, arguments: list[str], code: int, said: bytes
) -> None:
    """What cannot be shown is an error, what cannot be told is not; a shell closes them."""
    command = ["sh", "-c", f'"$@" {streams}', "sh", *PROGRAM, *arguments, str(capture)]
    ran = subprocess.run(command, capture_output=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (code, said)
    shown = b"" if ">&-" in streams.replace("2>&-", "") else spawn(*arguments, capture).stdout
    assert ran.stdout == shown


def test_a_query_ends_without_a_word(capture: Path) -> None:
    """DuckDB's binding writes to stderr when the interpreter ends and objects of it were never collected."""
    ran = spawn("query", "flows group by Port", "--on", capture, "-q")
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize("format", ["parquet", "csv", "json"])
def test_formats_go_through_a_pipe(capture: Path, tmp_path: Path, format: str) -> None:
    through = spawn("crunch", capture, "-q", "-o", "-", "--format", format).stdout
    spawn("crunch", capture, "-q", "-o", tmp_path / f"a.{format}")
    assert through == (tmp_path / f"a.{format}").read_bytes()
    assert spawn("crunch", capture, "-q", "-o", "/dev/stdout", "--format", format).stdout == through


@pytest.mark.parametrize("arguments", [["packets"], ["crunch", "-o", "-", "--format", "parquet"], ["flows", "-n", "0"]])
def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path, arguments: list[str]) -> None:
    command = [*PROGRAM, arguments[0], many_flows(tmp_path, 10_000), *arguments[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.parametrize("arguments", [["--help"], ["flows"], ["packets"], ["info"], ["flows", "--format", "parquet"]])
def test_a_full_disk_is_one_line(capture: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [*PROGRAM, *arguments, *([capture] if arguments != ["--help"] else [])]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert (ran.returncode, ran.stderr) == (2, b"spanline: standard output: No space left on device\n")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_it_quietly_and_leaves_nothing_behind(tmp_path: Path, name: str, code: int) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    source = tmp_path / "endless"
    os.mkfifo(source)
    # Open for reading too: so that opening does not wait for the other side, and the other side sees no end.
    feed = os.open(source, os.O_RDWR)
    os.write(feed, pcap([question()]))
    command = [*PROGRAM, "crunch", source, "-o", folder / "flows.json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not list(folder.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            (unfinished,) = folder.iterdir()
            assert unfinished.name.startswith(".flows.json.")
            process.send_signal(getattr(signal, name))
            assert process.wait(30) == code
            assert process.stderr is not None
            assert process.stderr.read() == b""
        finally:
            process.kill()  # or leaving this block would wait for ever
    os.close(feed)
    assert list(folder.iterdir()) == []


def on_a_terminal(*arguments: str | Path, width: int = 80) -> tuple[int, str]:
    """The exit code, and what a terminal of `width` columns got."""
    import fcntl
    import pty
    import struct
    import termios

    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    command = [*PROGRAM, *arguments]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                shown += os.read(controller, 65536)
            except OSError:  # how Linux says that the other side was closed
                break
        code = process.wait(60)
    os.close(controller)
    return code, shown.decode().replace("\r\n", "\n")


def test_a_terminal_sets_the_width(capture: Path) -> None:
    code, shown = on_a_terminal("flows", capture)
    assert code == 0
    assert "10.0.0.1:50123 10.0.0.2:443 tcp         3 162 B 1.75 ms S1" in shown


def test_parquet_is_not_for_terminals(capture: Path) -> None:
    code, shown = on_a_terminal("flows", capture, "--format", "parquet")
    assert code == 2
    assert "spanline: terminals cannot show Parquet; write it to a file with -o flows.parquet" in shown


def test_a_terminal_is_not_a_capture() -> None:
    code, shown = on_a_terminal("flows", "-")
    assert code == 2
    assert "standard input is a terminal" in shown


def test_long_work_shows_progress_that_vanishes(tmp_path: Path) -> None:
    source = tmp_path / "slow"
    os.mkfifo(source)

    def feed() -> None:
        pieces = pcap([question(0)]), *(pcap([question(n)])[24:] for n in range(1, 4))
        descriptor = os.open(source, os.O_WRONLY)  # which waits for the other side, and then time counts
        for piece in pieces:
            os.write(descriptor, piece)
            time.sleep(0.5)
        os.close(descriptor)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    code, shown = on_a_terminal("crunch", source, "-o", tmp_path / "flows.csv")
    feeder.join()
    assert code == 0
    assert "frames/s" in shown
    assert shown.rstrip().splitlines()[-1].endswith("evicted 0 flows")
    assert "\x1b[2K" in shown  # a line that was drawn is cleared
    assert (tmp_path / "flows.csv").is_file()
