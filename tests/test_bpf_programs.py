"""Programs of classic BPF, and filters in libpcap's language that are wrong or have no program.

Oracles: values computed by hand from bpf(4), and libpcap's own messages.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

import spanline
from spanline._bpf import Program
from spanline.errors import UsageError
from spanline.filters.bpf import MOST_TEXT, compile_program
from tests.commands import run
from tests.craft import ethernet, ipv4, tcp
from tests.craft_files import Pcapng


def program(*instructions: tuple[int, int, int, int]) -> Program:
    return Program(np.frombuffer(b"".join(struct.pack("=HBBI", *one) for one in instructions), np.uint8))


def returned(made: Program, frame: bytes, wire_length: int = 0) -> bool:
    one, matches = np.ones(1, np.uint8), np.zeros(1, np.uint8)
    lengths = [np.array([n], np.uint32) for n in (0, len(frame), wire_length)]
    made.run(np.frombuffer(frame, np.uint8), *lengths, one, matches)
    return bool(matches[0])


RETURN_A = (0x16, 0, 0, 0)
RUNS = {
    "word-inside": ([(0x20, 0, 0, 0), RETURN_A], b"\0\0\0\1", True),
    "word-over-the-end": ([(0x20, 0, 0, 1), RETURN_A], b"\0\0\0\1", False),
    "half-over-the-end": ([(0x28, 0, 0, 3), RETURN_A], b"\1\1\1\1", False),
    "byte-behind-the-end": ([(0x30, 0, 0, 4), RETURN_A], b"\1\1\1\1", False),
    "index-wraps-around": ([(0x01, 0, 0, 0xFFFFFFFF), (0x50, 0, 0, 2), RETURN_A], b"\1\1\1\1", False),
    "header-length": ([(0xB1, 0, 0, 0), (0x50, 0, 0, 0), RETURN_A], b"\x41" + bytes(3) + b"\1", True),
    "divides-by-zero": ([(0x00, 0, 0, 8), (0x01, 0, 0, 0), (0x3C, 0, 0, 0), (0x06, 0, 0, 1)], b"", False),
    "remainder-by-zero": ([(0x00, 0, 0, 8), (0x01, 0, 0, 0), (0x9C, 0, 0, 0), (0x06, 0, 0, 1)], b"", False),
    "shift-by-32": ([(0x00, 0, 0, 1), (0x64, 0, 0, 32), RETURN_A], b"", False),
    "shift-by-31": ([(0x00, 0, 0, 1), (0x64, 0, 0, 31), RETURN_A], b"", True),
    "memory": ([(0x00, 0, 0, 7), (0x02, 0, 0, 15), (0x00, 0, 0, 0), (0x60, 0, 0, 15), RETURN_A], b"", True),
    "memory-is-zero": ([(0x60, 0, 0, 3), RETURN_A], b"", False),
    "negated": ([(0x00, 0, 0, 1), (0x84, 0, 0, 0), (0x35, 1, 0, 0xFFFFFFFF), (0x06, 0, 0, 0), (0x06, 0, 0, 1)], b"", 1),
    "a-circle": ([(0x00, 0, 0, 0), (0x05, 0, 0, 0xFFFFFFFE), (0x06, 0, 0, 1)], b"abc", False),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_programs(name: str) -> None:
    """What bpf(4) says of each; a circle, which only a program of nobody's compiler has, ends."""
    instructions, frame, expected = RUNS[name]
    assert returned(program(*instructions), frame) == expected


INVALID = {
    "nothing": ([], "does not return"),
    "unknown-code": ([(0xFF, 0, 0, 0), RETURN_A], "unknown code"),
    "jump-behind-the-end": ([(0x05, 0, 0, 1), RETURN_A], "jumps out"),
    "jump-before-the-start": ([(0x00, 0, 0, 0), (0x05, 0, 0, 0xFFFFFFFD), RETURN_A], "jumps out"),
    "true-behind-the-end": ([(0x15, 1, 0, 0), RETURN_A], "jumps out"),
    "false-behind-the-end": ([(0x15, 0, 1, 0), RETURN_A], "jumps out"),
    "no-return": ([(0x00, 0, 0, 0)], "does not return"),
    "memory": ([(0x02, 0, 0, 16), RETURN_A], "memory"),
    "divides-by-zero": ([(0x34, 0, 0, 0), RETURN_A], "by zero"),
    "remainder-by-zero": ([(0x94, 0, 0, 0), RETURN_A], "by zero"),
    "not-in-a-file": ([(0x28, 0, 0, 0xFFFFF004), RETURN_A], "live capture"),
}


@pytest.mark.parametrize("name", INVALID)
def test_programs_that_must_not_run(name: str) -> None:
    instructions, reason = INVALID[name]
    with pytest.raises(ValueError, match=reason):
        program(*instructions)


def test_frames_outside_their_buffer_are_refused() -> None:
    made, one = program((0x06, 0, 0, 1)), np.ones(1, np.uint8)
    lengths = [np.array([n], np.uint32) for n in (3, 2, 2)]
    with pytest.raises(ValueError, match="beyond"):
        made.run(np.zeros(4, np.uint8), *lengths, one, one.copy())


# --- wrong filters

WRONG = (
    "foo", "tcp port", "tcp port http port", "ip[", "ip[0", "ip[0:3] = 1", "host", "host 300.1.1.1", "net 10.0.0.0/33",
    "net 10.0.0.1/8", "port 70000", "port -1", "portrange 5-", "tcp && ", "&& tcp", "(tcp", "tcp)", "not",
    "tcp or or udp", "ip proto foo", "ether host 1:2:3", "vlan 5000", "ip and ip6", "tcp.port == 80",
    "ip.src == 10.0.0.1", "tcp = 1", "len", "len >", "len > x", "1 / 0 = 1", "ip[0] / 0 = 1", "less", "greater -",
    "gateway foo", "rnr = 3", "tcp port 80;", "ip6 host 10.0.0.1", "host 2001:db8::/129", "mpls 1048576",
    "icmp[foo] = 1", "\x1b[31m", "ip\u202e", "(" * 3000, "tcp port 1 or " * 1000 + "tcp",
)  # fmt: skip


@pytest.mark.parametrize("option", ["-f", "--inner-filter"])
@pytest.mark.parametrize("text", WRONG, ids=lambda text: ascii(text)[:20])
def test_wrong_filters(text: str, option: str, capture: Path) -> None:
    """One line that has the filter and libpcap's reason, and exit code 2, before anything is read."""
    result = run("flows", option, text, capture, code=2)
    (line,) = result.stderr.splitlines()
    assert line.startswith("spanline: filter ")
    assert line.isprintable()
    assert len(line) < 300
    assert not result.stdout


def test_a_filter_with_a_nul(capture: Path) -> None:
    with pytest.raises(UsageError):
        spanline.open(capture, capture_filter="tcp\0")


def test_an_empty_filter_selects_everything(capture: Path) -> None:
    """As tcpdump has it."""
    assert len(spanline.open(capture, capture_filter="").packets()) == 5


def test_link_types_that_libpcap_cannot_filter(tmp_path: Path) -> None:
    """Their frames are left out and said to be; the others are selected."""
    path, ng = tmp_path / "mixed.pcapng", Pcapng()
    frames = [ng.enhanced(ethernet() / ipv4() / tcp()), ng.enhanced(b"usb" * 9, interface=1)] * 2
    path.write_bytes(ng.section() + ng.interface(1) + ng.interface(189) + b"".join(frames))
    capture = spanline.open(path, capture_filter="tcp")
    assert sum(map(len, capture)) == 2
    (problem,) = capture.problems
    assert (problem.kind, problem.what) == ("filter", "2 frames of link type 189 are left out")
    assert "not implemented" in problem.hint
    assert run("packets", "-f", "tcp", path, code=2).stderr.splitlines() == [f"spanline: {problem}"]


@pytest.mark.parametrize("text", ["inbound", "tcp and outbound"])
def test_what_only_a_live_capture_knows(text: str, capture: Path) -> None:
    """tcpdump refuses it for Ethernet in a file; Linux cooked headers have it."""
    line = run("packets", "-f", text, capture, code=2).stderr
    assert "live capture" in line


def test_commands_take_both(capture: Path) -> None:
    for command in ("packets", "flows", "rtt", "info"):
        run(command, "-f", "udp", "--inner-filter", "udp port 53", capture)
    assert run("packets", "-f", "udp", capture).stdout.count("\n") == 1
    assert run("packets", "--inner-filter", "not udp", "-n", "2", capture).stdout.count("\n") == 2


def test_long_filters_are_refused() -> None:
    """libpcap would work on it for minutes, and nothing could interrupt it."""
    compile_program(" or ".join(["ip"] * 300), 1)
    with pytest.raises(UsageError, match="characters"):
        compile_program("ip or " * (MOST_TEXT // 6) + "tcp  ", 1)
