"""Plain frames are read in one go: with the same result as by the decoders of each layer.

Oracle: those decoders. They read every frame when checksums are verified, which plain reading leaves to them; the rows
then differ in the mark of a wrong checksum at most. What the decoders say is held against tshark elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import traffic

import spanline
from spanline.errors import CaptureError
from tests.craft import ethernet, ipv4, ipv6, tcp, udp, vlan
from tests.rows import decode
from tests.test_every_capture import FOLDERS, files_of

BAD_CHECKSUM = 4


def rows_of(path: Path, layer_by_layer: bool) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    rows, stacks = [np.empty(0, spanline.schema.PACKET_DTYPE)], []
    for batch in spanline.open(path, verify_checksums=layer_by_layer):
        rows.append(batch.packets.copy())
        stacks += [batch.paths[number] for number in batch.packets["path"].tolist()]
    packets = np.concatenate(rows)
    packets["flags"] &= ~np.uint8(BAD_CHECKSUM)
    return packets, stacks


def assert_both_agree(path: Path) -> None:
    (plain, stacks), (layered, other_stacks) = rows_of(path, False), rows_of(path, True)
    for name in plain.dtype.names or ():
        assert np.array_equal(plain[name], layered[name]), name
    assert stacks == other_stacks


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_capture(captures: Path, folder: str) -> None:
    for path in files_of(captures / folder):
        try:
            assert_both_agree(path)
        except CaptureError:
            continue


@pytest.mark.parametrize("kind", ["mix", "small", "vxlan"])
def test_generated_traffic(tmp_path: Path, kind: str) -> None:
    traffic.generate(kind, tmp_path / "c.pcap", packets=5000, flows=200)
    assert_both_agree(tmp_path / "c.pcap")


def frames() -> list[bytes]:
    made = []
    for ip in (ipv4(), ipv6(), ipv4(options=bytes(4)), vlan(3) / ipv4()):
        for transport in (tcp(), tcp(options=bytes(12)), udp(), udp(5, 4789)):
            made.append(bytes(ethernet() / ip / transport / b"payload"))
            made.append(made[-1] + bytes(9))
    return made


def test_every_byte_changed_and_every_cut() -> None:
    """Twice the same frame: the second one is plain, if it can be."""
    for frame in frames():
        variants = [frame[:cut] for cut in range(len(frame))]
        for at in range(12, min(len(frame), 60)):
            variants += [frame[:at] + bytes([value]) + frame[at + 1 :] for value in (0, 1, 4, 0x45, 0x7F, 0xFF)]
        first = bytes(ethernet() / ipv4() / tcp()), bytes(ethernet() / ipv4() / udp())
        six = bytes(ethernet() / ipv6() / tcp()), bytes(ethernet() / ipv6() / udp())
        batches = [decode(*first, *six, *variants, verify_checksums=layered) for layered in (False, True)]
        packets = [batch.packets.copy() for batch in batches]
        for rows in packets:
            rows["flags"] &= ~np.uint8(BAD_CHECKSUM)
        assert np.array_equal(*packets)
