"""Signals at any moment: the process ends within a second, says nothing, and leaves a whole file or none.

While the interpreter starts, and while it shuts down, signals are its own: then it ends by the signal itself, perhaps
with a traceback at the start. What is tested begins when main() has done the first thing it does.
"""

from __future__ import annotations

import contextlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import traffic

from tests.commands import PROGRAM, many_flows, spawn

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FRAMES, FLOWS = 1_000_000, 40_000
FIRST = "from spanline.cli import main, signals; signals.end_on_signals()"
READY = [sys.executable, "-c", f"{FIRST}; import os; os.write(1, b'!'); main()"]
PATIENCE = 1.0


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.pcap"
    traffic.generate("mix", path, packets=FRAMES, flows=FLOWS, seed=3)
    return path


@pytest.fixture(scope="module")
def compressed(large: Path) -> Path:
    path = large.with_suffix(".zst")
    path.write_bytes(zstd.compress(large.read_bytes(), 1))
    return path


@contextlib.contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process at its first line."""
    command = [*READY, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout
        assert process.stdout.read(1) == b"!"
        try:
            yield process
        finally:
            process.kill()


def seconds_of(*arguments: object) -> float:
    with started(*arguments) as process:
        begun = time.monotonic()
        assert process.wait(120) == 0
        return time.monotonic() - begun


def assert_ends(process: subprocess.Popen[bytes], number: int, folder: Path, frames: int = FRAMES) -> bool:
    """Whether the signal came before the end. Empties `folder`."""
    process.send_signal(number)
    sent = time.monotonic()
    code = process.wait(60)
    assert time.monotonic() - sent < PATIENCE
    errors = process.stderr.read().decode()  # type: ignore[union-attr]
    left = list(folder.iterdir())
    assert code in (0, 128 + number, -number)
    if code > 0:
        assert errors == ""
    else:
        assert len(errors.splitlines()) == 1  # the account, which is the last thing it does
        assert len(left) == 1
    for path in left:  # none, but after the last moment
        assert not path.name.startswith(".")
        rows = pq.read_table(path, columns=["source_packets", "destination_packets"]).to_pylist()
        assert sum(sum(row.values()) for row in rows) == frames
        path.unlink()
    return code > 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("source", ["large", "compressed"])
def test_at_any_moment(tmp_path: Path, request: pytest.FixtureRequest, source: str, name: str) -> None:
    """Imports, reading, unpacking, writing, closing; the moments are spread over a whole run, and then over its end."""
    path, chance, interrupted = request.getfixturevalue(source), random.Random(source + name), 0
    (tmp_path / "out").mkdir()
    arguments = ("crunch", path, "-o", tmp_path / "out" / "flows.parquet")
    whole = seconds_of(*arguments)
    (tmp_path / "out" / "flows.parquet").unlink()
    for n in range(9):
        delay = whole * (n + chance.random()) / 6 if n < 6 else whole * (0.8 + 0.3 * chance.random())
        with started(*arguments) as process:
            begun = time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(delay)
                whole = min(whole, time.monotonic() - begun)  # how busy the machine is may change
            interrupted += assert_ends(process, getattr(signal, name), tmp_path / "out")
    assert interrupted >= 2


def test_during_the_imports(tmp_path: Path) -> None:
    """An interrupt there was lost where it came up in a callback of the import system."""
    chance = random.Random(1)
    source = many_flows(tmp_path, 10)
    (tmp_path / "out").mkdir()
    interrupted = 0
    for _ in range(20):
        with started("crunch", source, "-o", tmp_path / "out" / "flows.parquet") as process:
            time.sleep(0.25 * chance.random())
            interrupted += assert_ends(process, signal.SIGINT, tmp_path / "out", 10)
    assert interrupted >= 5


@pytest.mark.parametrize("command", [["flows", "-n", "0"], ["flows", "-n", "0", "--format", "json"], ["info"], ["rtt"]])
def test_other_commands(tmp_path: Path, large: Path, command: list[str]) -> None:
    chance = random.Random(str(command))
    out = (tmp_path / "stdout").open("wb")
    for _ in range(2):
        with subprocess.Popen([*PROGRAM, *command, large], stdout=out, stderr=subprocess.PIPE) as process:
            time.sleep(1 + 2 * chance.random())
            process.send_signal(signal.SIGINT)
            sent = time.monotonic()
            assert process.wait(60) in (0, 130, -2)
            assert time.monotonic() - sent < PATIENCE
            assert process.stderr.read() == b""  # type: ignore[union-attr]
    out.close()


def test_a_second_signal_changes_nothing(tmp_path: Path, large: Path) -> None:
    (tmp_path / "out").mkdir()
    with started("crunch", large, "-o", tmp_path / "out" / "flows.parquet") as process:
        while not list((tmp_path / "out").iterdir()):
            time.sleep(0.01)
        for _ in range(20):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""  # type: ignore[union-attr]
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As after nohup, or in the background of a script."""
    source = many_flows(tmp_path, 1000)
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    command = [*READY, "flows", source]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, bufsize=0, preexec_fn=ignore) as process:
        assert process.stdout
        assert process.stdout.read(1) == b"!"
        process.send_signal(signal.SIGINT)
        assert b"1,000 flows" in process.communicate(timeout=60)[0]
        assert process.returncode == 0


def test_an_existing_file_is_kept(tmp_path: Path, large: Path) -> None:
    target = tmp_path / "flows.csv"
    target.write_text("of yesterday")
    with started("crunch", large, "-o", target) as process:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.01)
        process.terminate()
        assert process.wait(60) == 143
    assert [path.name for path in tmp_path.iterdir()] == ["flows.csv"]
    assert target.read_text() == "of yesterday"


# --- places that cannot be written to


@pytest.mark.parametrize("format", ["parquet", "csv", "json"])
def test_a_folder_that_vanishes(tmp_path: Path, large: Path, format: str) -> None:
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / f"flows.{format}"
    with started("crunch", "-q", large, "-o", target) as process:
        while not list((tmp_path / "out").iterdir()):
            time.sleep(0.01)
        shutil.rmtree(tmp_path / "out")
        assert process.wait(60) == 2
        errors = process.stderr.read().decode()  # type: ignore[union-attr]
    assert errors == f"spanline: cannot write {target}: No such file or directory\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["parquet", "csv", "json"])
@pytest.mark.parametrize("command", ["crunch", "flows"])
def test_a_file_that_gets_too_large(tmp_path: Path, large: Path, command: str, format: str) -> None:
    """A limit of the process stands for a disk that fills up while it is written to."""
    source, target = large, tmp_path / "out" / f"flows.{format}"
    target.parent.mkdir()
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    ran = spawn(command, "-q", source, "-o", target, preexec_fn=limit)
    assert (ran.returncode, ran.stderr.decode()) == (2, f"spanline: cannot write {target}: File too large\n")
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("format", ["parquet", "csv", "json"])
@pytest.mark.parametrize("command", ["crunch", "flows", "packets", "info", "rtt"])
def test_a_full_disk(tmp_path: Path, command: str, format: str) -> None:
    ran = spawn(command, "-q", many_flows(tmp_path, 2000), "-o", "/dev/full", "--format", format)
    assert (ran.returncode, ran.stderr) == (2, b"spanline: cannot write /dev/full: No space left on device\n")
    assert Path("/dev/full").is_char_device()
