"""Columns of text against the standard library, one row at a time."""

from __future__ import annotations

import hashlib
import random
import socket
from base64 import b64encode
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spanline import _columns, _text
from spanline.arrow import ADDRESS, readable
from spanline.community import community_ids

MAPPED = b"\0" * 10 + b"\xff\xff"
GROUPS = st.sampled_from([0, 0, 0, 1, 0x10, 0xFF, 0x100, 0xFFF, 0xFFFF])
ANY_ADDRESS = (
    st.binary(min_size=16, max_size=16)
    | st.lists(GROUPS | st.integers(0, 0xFFFF), min_size=8, max_size=8).map(
        lambda groups: b"".join(group.to_bytes(2, "big") for group in groups)
    )
    | st.sampled_from([MAPPED, bytes(12), b"\0" * 8 + b"\xff\xff\0\0"]).flatmap(
        lambda head: st.binary(min_size=4, max_size=4).map(lambda tail: head + tail)
    )
)


def rows_of(texts: tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]) -> list[str]:
    offsets, letters = texts
    return [letters[a:b].tobytes().decode() for a, b in pairwise(offsets)]


def octets(values: list[bytes], width: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, width)


def by_library(address: bytes) -> str:
    if address.startswith(MAPPED):
        return socket.inet_ntop(socket.AF_INET, address[12:])
    return socket.inet_ntop(socket.AF_INET6, address)


@given(st.lists(ANY_ADDRESS, max_size=20))
@example([bytes(16), bytes(15) + b"\1", MAPPED + bytes(4), bytes(12) + b"\1\2\3\4", bytes(13) + b"\1\2\3"])
def test_addresses_are_written_as_inet_ntop_writes_them(addresses: list[bytes]) -> None:
    assert rows_of(_text.addresses(octets(addresses, 16))) == [by_library(address) for address in addresses]


def test_every_pattern_of_zero_groups() -> None:
    """Where "::" stands, for each of the 256 ways in which groups can be zero, twice: 1 and ffff are not alike."""
    addresses = [
        b"".join(one if ways >> n & 1 else b"\0\0" for n in range(8))
        for ways in range(256)
        for one in (b"\0\1", b"\xff\xff")
    ]
    assert rows_of(_text.addresses(octets(addresses, 16))) == [by_library(address) for address in addresses]


@given(st.lists(st.binary(min_size=6, max_size=6), max_size=20))
def test_macs(macs: list[bytes]) -> None:
    assert rows_of(_text.macs(octets(macs, 6))) == [mac.hex(":") for mac in macs]


def test_another_width_is_refused() -> None:
    for made, width in ((_text.addresses, 6), (_text.macs, 16), (_text.addresses, 0)):
        with pytest.raises(ValueError, match="rows of"):
            made(np.zeros((3, width), np.uint8))


def test_labels() -> None:
    starts, names = np.array([0, 2, 2, 5], np.int32), np.frombuffer("abé1".encode(), np.uint8)
    codes = np.array([2, 0, 1, -1, 3, 2], np.int32)
    assert rows_of(_text.labels(codes, starts, names)) == ["é1", "ab", "", "", "", "é1"]
    assert rows_of(_text.labels(codes[:0], starts[:1], names[:0])) == []
    with pytest.raises(ValueError, match="not inside"):
        _text.labels(codes, starts, names[:4])


def test_a_readable_table_has_its_nulls_wherever_it_was_cut() -> None:
    texts = [None, "SF", "S0", None, "S0", "", *["S1", None] * 8]
    addresses = [None if n % 3 == 0 else MAPPED + bytes([10, 0, 0, n]) for n in range(len(texts))]
    table = pa.table({"state": pa.array(texts).dictionary_encode(), "address": pa.array(addresses, ADDRESS)})
    wanted = [None if one is None else by_library(one) for one in addresses]
    for start in range(len(texts) + 1):
        cut = readable(pa.concat_tables([table.slice(start), table.slice(0, start)]))
        cut.validate(full=True)
        assert cut["state"].to_pylist() == texts[start:] + texts[:start]
        assert cut["address"].to_pylist() == wanted[start:] + wanted[:start]
    nothing = pa.table({"state": pa.array([None, None], pa.dictionary(pa.int8(), pa.string()))})
    assert readable(nothing)["state"].to_pylist() == [None, None]


def community_id(a: bytes, b: bytes, ports: tuple[int, int], protocol: int, seed: int) -> str:
    """As the specification has it, in the standard library's terms, for what is not ICMP."""
    (first, first_port), (second, second_port) = sorted([(a, ports[0]), (b, ports[1])])
    if first.startswith(MAPPED) and second.startswith(MAPPED):
        first, second = first[12:], second[12:]
    data = seed.to_bytes(2, "big") + first + second + bytes([protocol, 0])
    if protocol in (6, 17, 132):
        data += first_port.to_bytes(2, "big") + second_port.to_bytes(2, "big")
    return "1:" + b64encode(hashlib.sha1(data).digest()).decode()


def test_community_ids_of_random_flows() -> None:
    """IPv4, IPv6 and both in one; few addresses and ports, so that ends are equal; every number of bytes hashed."""
    random.seed(1)
    some = [MAPPED + random.randbytes(4) for _ in range(4)] + [random.randbytes(16) for _ in range(4)]
    flows = [
        (
            random.choice([*some, MAPPED + random.randbytes(4)]),
            random.choice([*some, random.randbytes(16)]),
            (random.choice([0, 80, 443, 65535]), random.choice([0, 80, 256, 65535])),
            random.choice([0, 6, 17, 47, 132, 255]),
        )
        for _ in range(5000)
    ]
    table = pa.table(
        {
            "source": pa.array([flow[0] for flow in flows], ADDRESS),
            "destination": pa.array([flow[1] for flow in flows], ADDRESS),
            "source_port": pa.array([flow[2][0] for flow in flows], pa.uint16()),
            "destination_port": pa.array([flow[2][1] for flow in flows], pa.uint16()),
            "protocol": pa.array([flow[3] for flow in flows], pa.uint8()),
        }
    )
    for seed in (0, 1, 0x1234, 0xFFFF):
        assert community_ids(table, seed).to_pylist() == [community_id(*flow, seed) for flow in flows]


def test_columns_are_taken_from_records() -> None:
    dtype = np.dtype([("a", "u1"), ("b", "<u2"), ("c", "<u4"), ("d", "<u8"), ("e", "u1", 16)])
    records = np.frombuffer(random.Random(1).randbytes(100 * dtype.itemsize), dtype)
    assert dtype.fields is not None
    columns = {name: np.zeros(101 * dtype[name].itemsize, np.uint8) for name in dtype.names or ()}
    members = [(dtype.fields[name][1], dtype[name].itemsize, column) for name, column in columns.items()]
    parts = records.view(np.uint8).reshape(100, -1)
    for start, end in ((0, 60), (60, 60), (60, 100)):
        _columns.take(parts[start:end], members, start)
    for name, column in columns.items():
        width = dtype[name].itemsize
        assert column[: 100 * width].tobytes() == records[name].tobytes()
        assert not column[100 * width :].any()


@pytest.mark.parametrize(
    ("offset", "width", "row"), [(8, 1, 0), (7, 2, 0), (-1, 1, 0), (0, 3, 0), (0, 1, 7), (0, 1, -1)]
)
def test_no_column_is_taken_from_elsewhere(offset: int, width: int, row: int) -> None:
    with pytest.raises(ValueError, match="member"):
        _columns.take(np.zeros((2, 8), np.uint8), [(offset, width, np.zeros(8, np.uint8))], row)
