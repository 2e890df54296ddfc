"""The headers that datagrams of a UDP socket get.

Oracles: the headers of tests/craft.py and tshark's opinion of their checksums.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spanline import _datagrams
from spanline.schema import RECORD_DTYPE
from tests.craft_files import START, Record, pcap
from tests.datagram_frames import crafted, frame, packed

PAIRS = [("10.0.1.254", "10.0.1.3"), ("255.255.255.255", "0.0.0.0"), ("2001:db8::1", "fe80::2"), ("::1", "::1")]
DATA = [b"", b"x", b"ab", b"abc", bytes(range(256)) * 4, b"\xff" * 65499]


class Room:
    def __init__(self, size: int = 1 << 20, count: int = 100, snaplen: int = 262144) -> None:
        self.data, self.records = np.zeros(size, np.uint8), np.zeros(count, RECORD_DTYPE)
        self.frames = _datagrams.Frames(self.data, self.records.view(np.uint8), snaplen, 3)

    def add(self, source: str, destination: str, data: bytes, ports: tuple[int, int] = (50000, 4789)) -> bool:
        return self.frames.add(data, START, packed(source), ports[0], packed(destination), ports[1])

    def written(self) -> list[bytes]:
        return [frame(self.data, record) for record in self.records[: self.frames.count]]


@pytest.mark.parametrize("data", DATA, ids=len)
@pytest.mark.parametrize(("source", "destination"), PAIRS)
def test_headers(source: str, destination: str, data: bytes) -> None:
    room = Room()
    assert room.add(source, destination, data)
    assert room.written() == [crafted(source, destination, data)]
    assert room.records[0]["wire_length"] == len(room.written()[0])
    assert (room.records[0]["timestamp"], room.records[0]["interface"]) == (START, 3)


def test_a_checksum_of_zero_is_written_as_ones() -> None:
    """RFC 8200 section 8.1. The ports are chosen so that the sum is 0xFFFF: 1 + 1 + 17 + 10 + 10 + ports + data."""
    room = Room()
    ports = 65535 - (1 + 1 + 17 + 10 + 10), 0
    assert room.add("::1", "::1", b"\0\0", ports)
    assert room.written()[0][46:48] == b"\xff\xff"


def test_tshark_finds_nothing_wrong_with_headers(tmp_path: Path) -> None:
    if not shutil.which("tshark"):
        pytest.skip("no tshark")
    room = Room()
    for source, destination in PAIRS:
        for data in DATA[:5]:
            room.add(source, destination, data)
    (tmp_path / "made.pcap").write_bytes(pcap([Record(START, one) for one in room.written()], link_type=101))
    names = "ip.checksum.status", "udp.checksum.status", "udp.length", "_ws.malformed"
    said = subprocess.run(
        ["tshark", "-n", "-r", tmp_path / "made.pcap", "-T", "fields", *(x for name in names for x in ("-e", name))]
        + ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-d", "udp.port==4789,data"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.splitlines()  # fmt: skip
    # 1 is good, 3 is "not present".
    wanted = [
        f"\t1\t{8 + len(data)}\t" if ":" in source else f"1\t3\t{8 + len(data)}\t"
        for source, _ in PAIRS
        for data in DATA[:5]
    ]
    assert said == wanted


@pytest.mark.parametrize("snaplen", [0, 1, 19, 20, 27, 28, 29, 47, 48, 49, 100, 10_000])
@pytest.mark.parametrize(("source", "destination"), PAIRS[::2])
def test_what_is_not_kept_counts(source: str, destination: str, snaplen: int) -> None:
    room, whole = Room(snaplen=snaplen), crafted(source, destination, bytes(range(100)))
    assert room.add(source, destination, bytes(range(100)))
    assert room.written() == [whole[:snaplen]]
    assert room.records[0]["wire_length"] == len(whole)


def test_room_runs_out() -> None:
    """Of bytes, and of rows; what is there stays as it is."""
    for room, most in (Room(size=_datagrams.LONGEST_FRAME), (65575 - 48 - 999) // 1027 + 1), (Room(count=64), 64):
        sent = 0
        while room.add("10.0.0.1", "10.0.0.2", b"z" * 999):
            sent += 1
        assert room.written() == [crafted("10.0.0.1", "10.0.0.2", b"z" * 999)] * sent
        assert room.frames.size == sent * 1027
        assert sent == most


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: _datagrams.Frames(np.zeros(100, np.uint8), np.zeros(24, np.uint8), 1, 0),
        lambda: _datagrams.Frames(np.zeros(1 << 17, np.uint8), np.zeros(23, np.uint8), 1, 0),
        lambda: Room().frames.add(bytes(65528), 0, bytes(16), 1, bytes(16), 1),
        lambda: Room().frames.add(b"", 0, bytes(15), 1, bytes(16), 1),
        lambda: _datagrams.Receiver(0, 1).receive(Room().frames, 0, 10**9),
    ],
)
def test_wrong_arguments(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"room|bytes|nap"):
        wrong()  # type: ignore[operator]
