"""Records in any cut; and what all parsers of records promise: the same in any cut, bounded, and never an exception.

Truth: a cutter of whole streams in a few lines, and the logins of tests.planted_logins, by their specifications.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from random import Random

import hyperscan
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanline.matching import compiled
from spanline.plaintext.model import Kind, Outcome, Piece, Plaintext, Sender
from spanline.plaintext.parsers import protocols
from spanline.plaintext.records import MOST_KEPT, UNDECIDED, WRONG, Octets, Record, Records
from tests.pieces import CLIENT, CUTS, NOISE, SERVER, TCP, UDP, fed, pieces
from tests.planted_logins import LOGINS

BINARY = (
    *(
        "amqp",
        "bacnet",
        "dcerpc",
        "dnp3",
        "enip",
        "exec",
        "iec60870_104",
        "ldap",
        "memcache",
        "modbus",
        "mongo",
        "mqtt",
        "mysql",
    ),
    *("opcua", "pgsql", "radius", "rlogin", "rpc", "rsh", "rsync", "s7comm", "smb", "snmp", "socks", "syslog", "tds"),
    *("tftp", "tns", "vnc", "x11"),
)
BY_NAME: dict[str, Plaintext] = {protocol.name: protocol for protocol in protocols()}
EXPRESSIONS = [(name, one.expression) for name in BINARY for one in BY_NAME[name].patterns]
MOST_STATE = 4 * MOST_KEPT


def length(data: Octets) -> int:
    """|length 2, with itself|…|; a record of less than 2 is none."""
    if len(data) < 2:
        return UNDECIDED
    size = int.from_bytes(data[:2], "big")
    return size if size >= 2 else WRONG


def record(content: bytes) -> bytes:
    return (len(content) + 2).to_bytes(2, "big") + content


def cut(stream: bytes, sizes: Iterable[int]) -> list[Piece]:
    return list(pieces([(CLIENT, stream)], sizes))


def told(reader: Records, parts: Iterable[Piece]) -> list[Record]:
    return [one for part in parts for one in reader.feed(part)]


@given(st.lists(st.binary(max_size=200), max_size=12), CUTS)
def test_records_are_whole_in_any_cut(contents: list[bytes], sizes: list[int]) -> None:
    whole = [record(content) for content in contents]
    found = told(Records(length), cut(b"".join(whole), sizes))
    assert [one.data for one in found] == whole
    assert [one.start for one in found] == [len(b"".join(whole[:n])) for n in range(len(whole))]


@given(CUTS)
def test_a_long_record_is_cut_and_counted(sizes: list[int]) -> None:
    stream = record(b"x" * (3 * MOST_KEPT)) + record(b"next")
    long, following = told(Records(length), cut(stream, [size * 100 for size in sizes]))
    assert (len(long.data), long.size) == (MOST_KEPT, 3 * MOST_KEPT + 2)
    assert following.data == record(b"next")


def test_what_begins_no_record_ends_it() -> None:
    reader = Records(length)
    assert [one.data for one in told(reader, cut(record(b"one") + b"\0\0" + record(b"two"), []))] == [record(b"one")]
    assert reader.broken


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (4, 6, [b"two", b"three"]),  # inside of the first one
        (4, 7, [b"two", b"three"]),  # its end
        (4, 12, [b"three"]),  # its end, and all of the next one
        (7, 12, [b"first", b"three"]),  # all of the second one
        (0, 7, [b"two", b"three"]),  # all of the first one
    ],
)
def test_what_was_not_captured(start: int, end: int, expected: list[bytes]) -> None:
    stream = record(b"first") + record(b"two") + record(b"three")
    parts = [Piece(CLIENT, stream[:start], 0, 1, 1), Piece(CLIENT, stream[end:], end, 2, 2, gap=end - start)]
    assert [one.data[2:] for one in told(Records(length), parts)] == expected


def test_the_end_of_a_long_record_need_not_be_captured() -> None:
    stream = record(b"x" * (2 * MOST_KEPT)) + record(b"next")
    lost = MOST_KEPT + 10, 2 * MOST_KEPT
    parts = [
        Piece(CLIENT, stream[: lost[0]], 0, 1, 1),
        Piece(CLIENT, stream[lost[1] :], lost[1], 2, 2, gap=lost[1] - lost[0]),
    ]
    assert [one.size for one in told(Records(length), parts)] == [2 * MOST_KEPT + 2, 6]


def test_a_record_shows_no_bytes() -> None:
    [one] = told(Records(length), cut(record(b"S3cret!"), []))
    assert "S3cret" not in repr(one)


def test_frames_of_a_record_are_some_of_many() -> None:
    stream = record(b"x" * 98)
    parts = [Piece(CLIENT, bytes((octet,)), n, n, n) for n, octet in enumerate(stream)]
    [one] = told(Records(length), parts)
    assert one.frames == (0, 1, 2, 3, 4, 5, 6, 99)
    assert one.time == 99


@pytest.mark.parametrize("name", LOGINS)
@given(
    account=st.text("abcdefgh0123456789", min_size=1, max_size=20),
    secret=st.text("ABCDEFGH!$%0123456789", max_size=30).map("Zq!".__add__),
    sizes=CUTS,
)
def test_a_planted_secret_is_told_in_any_cut(name: str, account: str, secret: str, sizes: list[int]) -> None:
    login = LOGINS[name]
    dialogue = login.dialogue(account.encode(), secret.encode())
    over_udp = login.transport == "udp"
    [finding] = fed(BY_NAME[name].parser(UDP if over_udp else TCP), pieces(dialogue, () if over_udp else sizes))
    assert finding.kind == Kind.CREDENTIAL
    assert finding.secret is not None
    assert finding.secret.reveal().decode() == secret
    assert finding.account in (account, f"CORP\\{account}", "")
    assert secret not in repr(finding)


@pytest.mark.parametrize("name", BINARY)
@given(dialogue=NOISE, sizes=CUTS)
def test_noise_is_nothing_and_never_raises(name: str, dialogue: list[tuple[Sender, bytes]], sizes: list[int]) -> None:
    for transport in (TCP, UDP):
        found = fed(BY_NAME[name].parser(transport), pieces(dialogue, sizes))
        assert not [finding for finding in found if finding.outcome == Outcome.ACCEPTED and finding.secret is not None]


@pytest.mark.parametrize("name", LOGINS)
@given(data=st.data())
def test_damaged_logins_never_raise(name: str, data: st.DataObject) -> None:
    login = LOGINS[name]
    dialogue = [(sender, bytearray(message)) for sender, message in login.dialogue(b"alice", b"S3cret!")]
    for _ in range(data.draw(st.integers(1, 4))):
        _, message = data.draw(st.sampled_from(dialogue))
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    damaged = [(sender, bytes(message)) for sender, message in dialogue]
    fed(BY_NAME[name].parser(UDP if login.transport == "udp" else TCP), pieces(damaged, data.draw(CUTS)))


@pytest.mark.parametrize("name", BINARY)
def test_what_is_kept_is_bounded(name: str) -> None:
    """Beginnings of records that never end, on both sides, and logins without answers: a parser's state stays small."""
    login = LOGINS[name].dialogue(b"alice", b"S3cret!") if name in LOGINS else []
    begin = b"".join(data for sender, data in login if sender == CLIENT)
    parser = BY_NAME[name].parser(TCP)
    at = {CLIENT: 0, SERVER: 0}
    for n in range(600):
        for sender, data in (CLIENT, begin), (CLIENT, b"\x30\x84\0\xff\xff\xff" * 200), (SERVER, b"\0\0\xff\xff" * 300):
            if data:
                list(parser.feed(Piece(sender, data, at[sender], n, n)))
            at[sender] += len(data)
    assert len(pickle.dumps(parser)) < MOST_STATE


@pytest.fixture(scope="module")
def database() -> hyperscan.Database:
    flags = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH
    return compiled([expression for _, expression in EXPRESSIONS], [flags] * len(EXPRESSIONS))


def found_in(database: hyperscan.Database, octets: bytes) -> set[str]:
    """Protocols with a pattern that hyperscan finds at the beginning."""
    found: set[str] = set()
    database.scan(octets, lambda number, *_: found.add(EXPRESSIONS[number][0]), scratch=hyperscan.Scratch(database))
    return found


@pytest.mark.parametrize("name", [name for name in LOGINS if BY_NAME[name].patterns])
def test_logins_are_found_on_any_port(name: str, database: hyperscan.Database) -> None:
    dialogue = LOGINS[name].dialogue(b"alice", b"S3cret!")
    sides = [b"".join(data for sender, data in dialogue if sender == side) for side in Sender]
    assert set().union(*(found_in(database, side) for side in sides)) == {name}


@pytest.mark.parametrize(
    "beginning",
    [
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(256)),
        b"\x16\x03\x03\0\x7a\x02\0\0\x76\x03\x03" + bytes(range(256)),
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\0\0\x04\x14",
        b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"220 ftp.example.com\r\n",
        b"EHLO desk\r\n",
        b"USER alice\r\nPASS x\r\n",
        b"\xff\xfd\x18\xff\xfd\x20",
        b"\xc3\0\0\0\x01\x08" + bytes(range(256)),
        b"",
    ],
)
def test_other_beginnings_are_not(beginning: bytes, database: hyperscan.Database) -> None:
    assert found_in(database, beginning) == set()


def test_random_bytes_are_not(database: hyperscan.Database) -> None:
    noise = Random(1)
    assert not [start for start in range(20_000) if found_in(database, noise.randbytes(64))]
