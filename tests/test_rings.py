"""Token Ring and FDDI. Oracles: tshark 4.0 on the same bytes; IEEE 802.5 and ISO 9314-2 for what the headers are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import tshark
from tests.commands import run
from tests.craft import Frame, arp, fddi, ipv4, ipv6, llc, snap, tcp, token_ring, udp
from tests.craft_files import START, Record, pcap

TOKEN_RING, FDDI = 6, 10
INSIDE = snap() / ipv4("10.0.0.1", "10.0.0.2") / udp(1111, 9999) / b"payload"
NAMES = {
    TOKEN_RING: ("tr.ac", "tr.fc", "tr.frame_type", "tr.dst", "tr.src", "tr.addr"),
    FDDI: ("fddi.fc", "fddi.dst", "fddi.src", "fddi.addr"),
}
COMMON = ("llc.dsap", "llc.ssap", "ip.src", "ipv6.dst", "udp.dstport", "tcp.srcport", "arp.opcode", "eth.src")


def routing(length: int, *, broadcast: int = 0) -> bytes:
    """A routing information field that is as long as it says."""
    return bytes([broadcast << 5 | length, 0x30]) + bytes(range(length - 2))


WHOLE: dict[str, tuple[int, Frame]] = {
    "ring": (TOKEN_RING, token_ring("00:11:22:33:44:55", "c0:00:ff:ff:ff:ff") / INSIDE),
    "ring, through no bridge": (TOKEN_RING, token_ring(routing=routing(2, broadcast=4)) / INSIDE),
    "ring, through bridges": (TOKEN_RING, token_ring(routing=routing(6)) / snap() / ipv6() / tcp(3333, 80)),
    "ring, longest way": (TOKEN_RING, token_ring(routing=routing(30)) / INSIDE),
    "ring, routed by nobody": (TOKEN_RING, token_ring(routing=b"\0\0\0\0") / INSIDE),
    "ring, odd length": (TOKEN_RING, token_ring(routing=b"\3\x30\0") / INSIDE),
    "ring, ARP": (TOKEN_RING, token_ring() / snap() / arp()),
    "ring, IP without SNAP": (TOKEN_RING, token_ring() / llc(6, 6) / ipv4() / udp(1111, 9999) / b"payload"),
    "FDDI": (FDDI, fddi("00:11:22:33:44:55", "ff:ff:ff:00:80:01") / INSIDE),
    "FDDI, priority": (FDDI, fddi(control=0x57) / snap() / ipv6() / tcp(3333, 80)),
    "FDDI, reserved": (FDDI, fddi(control=0x5F) / snap() / arp()),
    "FDDI, IP without SNAP": (FDDI, fddi() / llc(6, 6) / ipv4() / udp(1111, 9999) / b"payload"),
}
"""Those that are read to the end."""

OTHERS: dict[str, tuple[int, Frame]] = {
    "FDDI, station management": (FDDI, fddi(control=0x41) / bytes(40)),
    "FDDI, synchronous": (FDDI, fddi(control=0xD0) / INSIDE),
    "FDDI, token": (FDDI, fddi(control=0x80) / b"."),
    "ring, reserved": (TOKEN_RING, token_ring(frame_control=0x80) / INSIDE),
}
"""Those that carry something else."""


def shown(capture: Path, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    asked = [word for name in names for word in ("-e", name)]
    return [tuple(line.split("\t")) for line in run("packets", capture, "-T", "fields", *asked).stdout.splitlines()]


def written(folder: Path, link_type: int, frames: list[Frame | Record]) -> Path:
    capture = folder / "ring.pcap"
    capture.write_bytes(pcap(frames, link_type=link_type))
    return capture


@pytest.mark.parametrize("name", [*WHOLE, *OTHERS])
def test_fields_equal_tsharks(name: str, tmp_path: Path) -> None:
    link_type, frame = {**WHOLE, **OTHERS}[name]
    capture = written(tmp_path, link_type, [frame])
    names = (*NAMES[link_type], *COMMON)
    assert shown(capture, names) == tshark.fields(capture, "frame", *names)


@pytest.mark.parametrize("name", WHOLE)
def test_stacks_equal_tsharks(name: str, tmp_path: Path) -> None:
    link_type, frame = WHOLE[name]
    capture = written(tmp_path, link_type, [frame])
    [[ours]], [[theirs]] = (ask(capture) for ask in (lambda path: shown(path, ("frame.protocols",)), _stacks))
    assert ours == theirs.removesuffix(":data")


def _stacks(capture: Path) -> list[tuple[str, ...]]:
    return tshark.fields(capture, "frame", "frame.protocols")


@pytest.mark.parametrize("link_type", [TOKEN_RING, FDDI])
def test_frames_cut_anywhere(link_type: int, tmp_path: Path) -> None:
    """What is there of a cut header is told as by tshark from its last byte on, and no earlier."""
    frames: list[Frame | Record] = []
    for kind, frame in WHOLE.values():
        whole = bytes(frame)
        if kind == link_type:
            frames += [Record(START, whole[:length], len(whole)) for length in range(14, len(whole))]
    capture = written(tmp_path, link_type, frames)
    names = ("ip.src", "udp.dstport", "arp.opcode")
    assert shown(capture, names) == tshark.fields(capture, "frame", *names)


def test_what_is_in_the_clear_on_rings(captures: Path) -> None:
    """Oracle: the user's number, the machine and the name of the file that tshark shows."""
    nfs, tftp = (
        captures / f"linktypes/{name}" for name in ("FDDI__wireshark__nfs.pcap", "TOKEN_RING__wireshark__tftp.pcap")
    )
    [call] = tshark.fields(nfs, "rpc.auth.machinename", "rpc.auth.uid", "rpc.auth.machinename")
    [(asked,)] = tshark.fields(tftp, "tftp.source_file", "tftp.source_file")
    told = [
        (row["protocol"], row["account"], row["detail"])
        for capture in (nfs, tftp)
        for row in json.loads(run("plaintext", capture, "-q", "--format", "json").stdout)
    ]
    assert told == [("rpc", f"uid={call[0]}", f"NFS, machine {call[1]}"), ("tftp", None, f"file {asked}")]
