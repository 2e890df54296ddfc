"""A batch of some of its frames is the same as those frames of the whole batch; one that owns its bytes is the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

import spanline
from spanline._framing import copy_frames
from spanline.batch import Decode
from spanline.fields import find, names, occurrences
from spanline.stages.flows import Flows
from spanline.stages.packet_list import packets_table
from tests.craft import arp, ethernet, icmp, ipv4, tcp, udp
from tests.craft_files import pcap
from tests.craft_tunnels import gre, vxlan
from tests.rows import chunk_of, decode_all

FRAMES = [
    ethernet() / arp(),
    ethernet() / ipv4() / udp(9, 4789) / vxlan(7) / ethernet() / ipv4() / gre(key=8) / ipv4() / tcp(1, 2, flags="S"),
    ethernet() / ipv4() / tcp(3, 4, flags="A", options=b"\2\4\5\xb4"),
    ethernet() / ipv4() / udp(9, 4789) / vxlan(6) / ethernet() / ipv4() / udp(5, 6),
    ethernet() / ipv4() / icmp(11, 0) / ipv4() / udp(7, 8),
    ethernet() / ipv4() / tcp(1, 2, flags="S"),
]


def as_octets(value: bytes | np.generic | np.ndarray) -> bytes:
    return value if isinstance(value, bytes) else value.tobytes()


def test_select() -> None:
    whole = decode_all(FRAMES)
    for mask in (0b010101, 0b101010, 0b000000, 0b111111, 0b001000):
        rows = np.array([bool(mask >> n & 1) for n in range(len(FRAMES))])
        some, kept = whole.select(rows), np.flatnonzero(rows)
        assert (some.packets == whole.packets[rows]).all()
        assert some.numbers.tolist() == [n + 1 for n in kept]
        assert [(kept[t["packet"]], t["id"]) for t in some.tunnels] == [
            (t["packet"], t["id"]) for t in whole.tunnels if rows[t["packet"]]
        ]
        for name in (name for name in names() if not find(name).requires):
            of_whole, of_some = (occurrences(batch, find(name)) for batch in (whole, some))
            wanted = [n for n, packet in enumerate(of_whole.packet) if rows[packet]]
            assert kept[of_some.packet].tolist() == of_whole.packet[wanted].tolist()
            assert of_some.layer.tolist() == of_whole.layer[wanted].tolist()
            of_rows = occurrences(whole, find(name), rows)
            assert of_rows.packet.tolist() == of_whole.packet[wanted].tolist()
            for found in of_some.values, of_rows.values:
                assert [as_octets(found[n]) for n in range(len(wanted))] == [
                    as_octets(of_whole.values[n]) for n in wanted
                ]
        assert packets_table(some)["number"].to_pylist() == [n + 1 for n in kept]


class OnlySyns:
    """A transform: it lets segments through that open a connection."""

    def feed(self, batch: spanline.Batch) -> Iterable[spanline.Batch]:
        yield batch.select(batch.packets["tcp_flags"] & 0x12 == 0x02)

    def flush(self) -> Iterable[spanline.Batch]:
        return ()


def test_a_transform_changes_what_stages_see(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(FRAMES))
    stage = Flows()
    numbers = [n for batch in spanline.open(path).run(stage, transforms=[OnlySyns()]) for n in batch.numbers.tolist()]
    assert numbers == [2, 6]
    assert pc.sum(stage.tables()["flows"]["source_packets"]).as_py() == 2


def test_a_batch_of_a_file_owns_its_bytes(tmp_path: Path) -> None:
    """Also some of its frames, and nothing is copied."""
    path = tmp_path / "few.pcap"
    path.write_bytes(pcap(FRAMES))
    (batch,) = spanline.open(path)
    assert not batch.borrows
    assert batch.own() is batch
    some = batch.select(np.arange(len(batch)) % 2 == 0)
    assert some.own() is some


def test_own() -> None:
    """What was borrowed may change, and what was made of it does not. Oracle: a batch of a chunk that stays."""
    kept = chunk_of(FRAMES)
    lent = replace(kept, buffer=kept.buffer.copy(), borrowed=True)
    whole, borrowed = Decode()(kept), Decode()(lent)
    owned = borrowed.own()
    lent.buffer[:] = 0xEE
    assert (owned.borrows, borrowed.borrows) == (False, True)
    assert owned.buffers[0] is not lent.buffer
    for name in (name for name in names() if not find(name).requires):
        of_whole, of_owned = (occurrences(batch, find(name)) for batch in (whole, owned))
        assert of_owned.packet.tolist() == of_whole.packet.tolist(), name
        for n in range(len(of_whole)):
            assert as_octets(of_owned.values[n]) == as_octets(of_whole.values[n]), name
    with pytest.raises(ValueError, match="beyond its buffer"):
        copy_frames(kept.buffer[:-1], kept.records.view(np.uint8), np.empty_like(kept.buffer))
