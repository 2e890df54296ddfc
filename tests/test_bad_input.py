"""Bad input: whole records are kept, one clear line says what is wrong and where, exit code 2, never a traceback.

Oracle: the list "Bad input" of the issue, each with a file made to be wrong in that way and in no other: how many
frames of it are whole, and at which byte or frame it goes wrong, is known from how it was built.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet
import pytest

import spanline
from spanline.errors import CaptureError, Problem
from spanline.schema import VERDICTS
from tests.craft import Frame, ethernet, ipv4, udp
from tests.craft_files import START, Pcapng, Record, pcap, pcap_header, pcap_record
from tests.craft_tunnels import vxlan

NG, BIG = Pcapng(), Pcapng(big_endian=True)
ONE = bytes(ethernet() / ipv4() / udp() / b"one")
TWO = pcap([ONE, ONE])
RECORD = 16 + len(ONE)
NG_TWO = NG.file([ONE, ONE])
SECOND = 10**9


class Bad(NamedTuple):
    data: bytes
    frames: int
    """Whole ones."""
    kind: str
    where: str
    says: str


def option_without_end() -> bytes:
    """An option of an interface that says it is longer than its block."""
    body = NG.pack("HHI", 1, 0, 65535) + NG.pack("HH", 2, 40) + b"eth0"
    return NG.section() + NG.block(1, body) + NG.enhanced(ONE, START // 1000) + NG.enhanced(ONE, START // 1000)


def nested(levels: int) -> Frame:
    frame = Frame()
    for n in range(levels):
        frame = frame / ethernet() / ipv4(f"10.0.{n}.1", f"10.0.{n}.2") / udp(n, 4789) / vxlan(n)
    return frame / ethernet() / ipv4() / udp()


GZ = gzip.compress(pcap([ethernet() / ipv4(identification=n) / udp() / bytes(range(256)) for n in range(200)]), 0)
FILES = {
    "empty": Bad(b"", 0, "empty", "", "the file is empty"),
    "empty-gzip": Bad(gzip.compress(b""), 0, "empty", "", "the file is empty"),
    "one-byte": Bad(b"\xd4", 0, "truncated", "byte 1", "truncated inside the file header"),
    "cut-header": Bad(TWO[:23], 0, "truncated", "byte 23", "truncated inside the file header"),
    "cut-section": Bad(NG_TWO[:27], 0, "truncated", "byte 27", "truncated inside the file header"),
    "wrong-magic": Bad(b"GIF89a" + bytes(60), 0, "not-a-capture", "", "not a capture file"),
    "wrong-magic-gzip": Bad(gzip.compress(b"GIF89a" + bytes(60)), 0, "not-a-capture", "", "not a capture file"),
    "header-only": Bad(pcap([]), 0, "empty", "", "no frames"),
    "header-only-ng": Bad(NG.file([]), 0, "empty", "", "no frames"),
    "record-length": Bad(
        TWO + pcap_record(Record(START, b""))[:8] + b"\xff" * 8 + TWO, 2, "damaged", f"byte {len(TWO)}", "4294967295"
    ),
    "cut-record": Bad(TWO + TWO[24:-1], 3, "truncated", f"byte {len(TWO) + RECORD}", "truncated in the middle"),
    "cut-record-header": Bad(TWO + b"\1" * 15, 2, "truncated", f"byte {len(TWO)}", "truncated in the middle"),
    "caplen": Bad(
        pcap([ONE, Record(START, ONE, 20), Record(START, ONE, 21)]), 3, "caplen", "frame 2", "2 frames are captured"
    ),
    "backwards": Bad(
        pcap([Record(START, ONE), Record(START + 5 * SECOND, ONE), Record(START + SECOND, ONE)]), 3, "backwards",
        "frame 3", "by up to 4 s",
    ),
    "block-length-0": Bad(
        NG_TWO + NG.block(6, b"", length=0) + NG.enhanced(ONE), 2, "damaged", f"byte {len(NG_TWO)}", "length of 0"
    ),
    "block-length-odd": Bad(
        NG_TWO + NG.block(6, bytes(100), length=30), 2, "damaged", f"byte {len(NG_TWO)}", "length of 30"
    ),
    "block-length-huge": Bad(
        NG_TWO + NG.block(6, bytes(100), length=0xFFFFFFFC), 2, "damaged", f"byte {len(NG_TWO)}", "4294967292"
    ),
    "block-lengths-differ": Bad(
        NG_TWO + NG.block(6, bytes(100), trailing_length=100), 2, "damaged", f"byte {len(NG_TWO)}", "another length"
    ),
    "block-beyond": Bad(
        NG_TWO + NG.block(6, bytes(32), length=1000), 2, "truncated", f"byte {len(NG_TWO)}", "truncated in the middle"
    ),
    "unknown-block-beyond": Bad(
        NG_TWO + NG.block(0x777, bytes(32), length=1000), 2, "truncated", rf"byte ({len(NG_TWO)}|{len(NG_TWO) + 44})",
        "truncated in the middle",
    ),
    "packet-block-too-short": Bad(NG_TWO + NG.block(6, bytes(16)), 2, "damaged", f"byte {len(NG_TWO)}", "too short"),
    "frame-beyond-block": Bad(
        NG_TWO + NG.enhanced(ONE, captured_length=9999), 2, "damaged", f"byte {len(NG_TWO)}", "9999"
    ),
    "byte-order": Bad(
        NG_TWO + NG.block(0x0A0D0D0A, b"????" + bytes(12)), 2, "damaged", f"byte {len(NG_TWO)}", "no byte order"
    ),
    "version": Bad(
        NG_TWO + BIG.section(version=(2, 0)) + BIG.enhanced(ONE), 2, "damaged", f"byte {len(NG_TWO)}", "version 2"
    ),
    "interface": Bad(
        NG.file([ONE]) + NG.enhanced(ONE, interface=7), 2, "interface", "frame 2", "never declared"
    ),
    "option-without-end": Bad(option_without_end(), 2, "damaged", f"byte {len(NG.section())}", "option"),
    "gzip": Bad(GZ[:40_000], 127, "truncated", r"byte \d+ of the uncompressed data", "gzip data is cut short"),
    "gzip-wrong-sum": Bad(GZ[:-8] + bytes(8), 200, "damaged", r"byte \d+ of the uncompressed data", "is corrupt"),
    "nine-tunnels": Bad(pcap([ONE, nested(9)]), 2, "tunnels", "frame 2", "8"),
}  # fmt: skip


def read(path: Path) -> tuple[int, list[Problem]]:
    """Frames and problems; an exception, when there is nothing to read, speaks for the one problem."""
    capture = spanline.open(path)
    frames, said = 0, ""
    try:
        for batch in capture:
            frames += len(batch)
    except CaptureError as error:
        said = str(error)
    if said:
        assert frames == 0
        assert len(capture.problems) == 1
        assert said.startswith(f"{path}: {capture.problems[0].what}")
    return frames, capture.problems


@pytest.mark.parametrize("name", FILES)
def test_problems(tmp_path: Path, name: str) -> None:
    bad, path = FILES[name], tmp_path / "bad"
    path.write_bytes(bad.data)
    frames, problems = read(path)
    assert frames == bad.frames
    assert [(problem.path, problem.kind) for problem in problems] == [(str(path), bad.kind)]
    assert re.fullmatch(bad.where, problems[0].where)
    assert bad.says in problems[0].what
    assert "\n" not in str(problems[0])


UNENDED = NG.block(1, NG.pack("HHIHHI", 1, 0, 0, 9, 1, 6))
GOOD = {
    "options-without-opt_endofopt": NG.section() + UNENDED + NG.enhanced(ONE, 1),
    "backwards-by-less-than-10-ms": pcap([Record(START + 9_000_000, ONE), Record(START, ONE)]),
    "eight-tunnels": pcap([nested(8)]),
    "packets-without-ip": pcap([ethernet() / b"\0", b"", ONE[:20]]),
    "unknown-link-type": pcap([ONE], link_type=147),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_no_problem(tmp_path: Path, name: str) -> None:
    (tmp_path / "good").write_bytes(GOOD[name])
    frames, problems = read(tmp_path / "good")
    assert frames >= 1
    assert problems == []


def test_nine_tunnels_are_a_row_with_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "nine").write_bytes(pcap([nested(8), nested(9)]))
    rows = spanline.open(tmp_path / "nine").packets()
    assert [VERDICTS[n] for n in rows["verdict"]] == ["ok", "unsupported"]
    assert rows["tunnel_count"].tolist() == [8, 8]


def missing(folder: Path) -> Path:
    return folder / "missing.pcap"


def below_a_file(folder: Path) -> Path:
    (folder / "file").write_bytes(TWO)
    return folder / "file" / "x.pcap"


def a_socket(folder: Path) -> Path:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.close()
    return folder / "socket"


def forbidden(folder: Path) -> Path:
    (folder / "forbidden.pcap").write_bytes(TWO)
    (folder / "forbidden.pcap").chmod(0)
    try:
        (folder / "forbidden.pcap").read_bytes()
    except OSError:
        return folder / "forbidden.pcap"
    return missing(folder)  # root reads everything


def unreadable_memory(folder: Path) -> Path:
    return Path("/proc/self/mem")  # opens, but address 0 cannot be read


UNREADABLE = [missing, below_a_file, a_socket, forbidden, unreadable_memory]


@pytest.mark.parametrize("make", UNREADABLE)
def test_unreadable_files(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    frames, problems = read(path)
    assert (frames, [problem.kind for problem in problems]) == (0, ["unreadable"])
    assert problems[0].hint


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    """Every problem is told once, also of files of which only the first record was wanted at first."""
    for name in ("record-length", "gzip", "empty", "cut-record"):
        (tmp_path / f"{name}.pcap").write_bytes(FILES[name].data)
    (tmp_path / "good.pcap").write_bytes(TWO)
    capture = spanline.open([tmp_path, missing(tmp_path)])
    assert len(capture.packets()) == sum(FILES[name].frames for name in ("record-length", "gzip", "cut-record")) + 2
    told = {(Path(problem.path).stem, problem.kind) for problem in capture.problems}
    wanted = {(name, FILES[name].kind) for name in ("record-length", "gzip", "empty", "cut-record")}
    assert told == wanted | {("missing", "unreadable")}
    assert len(capture.problems) == 5


# --- the command line

COMMANDS = ("info", "flows", "rtt", "packets", "crunch")


def spanline_command(*words: object, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("spanline", path=str(Path(sys.executable).parent)) or shutil.which("spanline")
    assert program, "the console script is not installed"
    stdin = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
    return subprocess.run([program, *map(str, words)], capture_output=True, timeout=60, **stdin)


def assert_complaint(done: subprocess.CompletedProcess[bytes], lines: int = 1) -> list[str]:
    errors = done.stderr.decode()
    assert "Traceback" not in errors + done.stdout.decode(errors="replace")
    assert (done.returncode, len(errors.splitlines())) == (2, lines), errors
    return errors.splitlines()


def assert_says(line: str, name: str, path: Path) -> None:
    assert str(path) in line
    assert FILES[name].says in line
    assert re.search(FILES[name].where, line)


@pytest.mark.parametrize("name", FILES)
def test_the_command_line_says_one_line(tmp_path: Path, name: str) -> None:
    """And gives the flows of all whole frames; a frame of an unknown interface is in none."""
    path = tmp_path / "bad.pcap"
    path.write_bytes(FILES[name].data)
    done = spanline_command("flows", "-q", "--format", "json", path)
    assert_says(assert_complaint(done)[0], name, path)
    if FILES[name].frames:
        packets = sum(flow["source_packets"] + flow["destination_packets"] for flow in json.loads(done.stdout))
        assert packets == FILES[name].frames - (name == "interface")


@pytest.mark.parametrize("name", ["gzip", "record-length", "block-length-0", "interface", "caplen"])
def test_other_commands_say_it_too(tmp_path: Path, name: str) -> None:
    path, out = tmp_path / "bad.pcap", tmp_path / "flows.parquet"
    path.write_bytes(FILES[name].data)
    done = spanline_command("info", "-q", "--format", "json", path)
    assert_says(assert_complaint(done)[0], name, path)
    assert json.loads(done.stdout)
    assert_says(assert_complaint(spanline_command("crunch", "-q", path, "-o", out))[0], name, path)
    packets = sum(pyarrow.parquet.read_table(out)["source_packets"].to_pylist())
    assert packets == FILES[name].frames - (name == "interface")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["empty", "cut-record"])
def test_every_command_and_standard_input(tmp_path: Path, command: str, name: str) -> None:
    words = [command, "-q", "-"] + (["-o", tmp_path / "out.csv"] if command == "crunch" else [])
    line = assert_complaint(spanline_command(*words, data=FILES[name].data))[0]
    assert "standard input" in line
    assert FILES[name].says in line


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_to_read(tmp_path: Path, command: str) -> None:
    """A folder without captures, a pattern without files, a file that is not there."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("no capture")
    (tmp_path / "bare").mkdir()
    output = ["-o", tmp_path / "out.csv"] if command == "crunch" else []
    for path in (tmp_path / "bare", tmp_path / "notes", tmp_path / "*.pcap", missing(tmp_path)):
        assert str(path) in assert_complaint(spanline_command(command, "-q", path, *output))[0]


def test_a_line_for_each_problem(tmp_path: Path) -> None:
    names = ("record-length", "gzip", "empty", "wrong-magic")
    for name in names:
        (tmp_path / name).write_bytes(FILES[name].data)
    done = spanline_command("flows", "-q", "--format", "json", *(tmp_path / name for name in names), missing(tmp_path))
    lines = assert_complaint(done, 5)
    assert all(sum(str(tmp_path / name) in line for line in lines) == 1 for name in (*names, "missing.pcap"))
    none = spanline_command("flows", "-q", tmp_path / "empty", tmp_path / "wrong-magic", missing(tmp_path))
    assert_complaint(none, 3)


def test_names_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    """Control bytes of a file's name, or of a file, are escaped."""
    path = tmp_path / "\x1b[2Jbad\r.pcap"
    path.write_bytes(FILES["record-length"].data)
    done = spanline_command("flows", "-q", path)
    assert_complaint(done)
    assert b"\x1b[2J" not in done.stderr + done.stdout


def test_a_good_capture_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "good.pcap"
    path.write_bytes(pcap_header() + TWO[24:] + pcap_record(Record(START + 10 * SECOND, nested(8))))
    for command in ("info", "flows", "packets", "rtt"):
        done = spanline_command(command, "-q", path)
        assert (done.returncode, done.stderr) == (0, b"")
