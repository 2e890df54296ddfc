"""One stream followed: `spanline follow --stream`.

Oracle: tshark -q -z follow on the same capture, live, letter by letter; what is hidden: secrets that were put into
crafted conversations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import spanline
from spanline.cli.stream_view import STYLES, nothing_hidden, tshark_lines
from spanline.stages.ends import Numbered
from spanline.stages.follow import FOLLOWED, Follow
from spanline.transforms.annotate import Annotate
from tests.commands import run
from tests.craft import ethernet, ipv4, udp
from tests.craft_files import START, Record, pcap
from tests.craft_talk import CLIENT, LOGIN, OPEN, SERVER, Said, annotated, followed, segments, tshark_follows

pytestmark = pytest.mark.usefixtures("state")

TALKS: dict[str, list[Said]] = {
    "in order": [*OPEN, (0, "PA", 1, 1, b"question"), (1, "PA", 1, 9, b"answer\r\n\x00\xff")],
    "sent again": [*OPEN, (0, "PA", 1, 1, b"abc"), (0, "PA", 1, 1, b"abc"), (0, "PA", 1, 1, b"abcdef")],
    "sent again, other bytes": [*OPEN, (0, "PA", 1, 1, b"abc"), (0, "PA", 1, 1, b"XYZ"), (0, "PA", 2, 1, b"XYZW")],
    "out of order": [*OPEN, (0, "PA", 4, 1, b"def"), (0, "PA", 7, 1, b"ghi"), (0, "PA", 1, 1, b"abc")],
    "out of order, overlapping": [
        *OPEN, (0, "PA", 3, 1, b"cdef"), (0, "PA", 6, 1, b"fghi"), (0, "PA", 4, 1, b"DE"), (0, "PA", 1, 1, b"abcd")
    ],
    "a hole that was acknowledged": [*OPEN, (0, "PA", 4, 1, b"def"), (1, "A", 1, 7, b""), (0, "PA", 7, 1, b"ghi")],
    "a hole that was acknowledged in part": [*OPEN, (0, "PA", 40, 1, b"def"), (1, "A", 1, 30, b"")],
    "a hole, then what was in it": [
        *OPEN, (0, "PA", 4, 1, b"def"), (1, "A", 1, 7, b""), (0, "PA", 1, 1, b"abc"), (1, "PA", 1, 7, b"ok")
    ],
    "two holes": [*OPEN, (1, "PA", 10, 1, b"one"), (1, "PA", 20, 1, b"two"), (0, "A", 1, 23, b"")],
    "a hole to the end": [*OPEN, (0, "PA", 1, 1, b"abc"), (0, "PA", 100, 1, b"late")],
    "no SYN": [(0, "PA", 50, 80, b"middle"), (1, "PA", 80, 56, b"of it"), (0, "A", 56, 85, b"")],
    "keep-alive": [*OPEN, (0, "PA", 1, 1, b"abc"), (0, "A", 3, 1, b"\0"), (1, "A", 1, 4, b""), (0, "PA", 4, 1, b"de")],
    "only the server": [(1, "SA", 0, 1, b""), (1, "PA", 1, 1, b"220 here\r\n"), (1, "PA", 11, 9, b"221 bye\r\n")],
    "the server first": [(1, "SA", 0, 1, b""), (0, "PA", 1, 1, b"hi")],
    "SYN with data": [(0, "S", 0, 0, b"early"), (1, "SA", 0, 6, b""), (0, "PA", 6, 1, b" bird")],
    "FIN with data": [*OPEN, (0, "FPA", 1, 1, b"bye"), (1, "FPA", 1, 5, b"bye"), (0, "PA", 5, 6, b"more")],
    "RST with data": [*OPEN, (0, "PA", 1, 1, b"abc"), (1, "RA", 1, 4, b"reason")],
    "nothing": OPEN,
    "sixteen bytes and spaces": [*OPEN, (0, "PA", 1, 1, b"1234567 "), (0, "PA", 9, 1, b"  345678 0123  8")],
}  # fmt: skip


def ours(stage: Follow, style: str) -> str:
    return "".join(f"{line}\n" for line in tshark_lines(stage, style, nothing_hidden))


def all_ours(stages: Mapping[int, Follow]) -> dict[tuple[int, str], str]:
    return {(number, style): ours(stage, style) for number, stage in stages.items() for style in STYLES}


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], dict[tuple[int, str], str]]:
    """All TALKS, each in streams of its own, those with odd numbers with sequence numbers that wrap around; and what
    tshark prints of them."""
    bases = (100, 900), (0xFFFFFFFC, 0xFFFFFFFF)
    records = [
        one
        for number, said in enumerate(TALKS.values())
        for odd, isn in enumerate(bases)
        for one in segments(said, 1000 + 2 * number + odd, isn)
    ]
    path = tmp_path_factory.mktemp("talks") / "talks.pcap"
    path.write_bytes(pcap(records))
    return records, tshark_follows(path, "tcp", range(2 * len(TALKS)))


@pytest.mark.parametrize("wraps", [0, 1])
@pytest.mark.parametrize("name", TALKS)
def test_a_stream_is_as_tshark_follows_it(
    name: str, wraps: int, talks: tuple[list[Record], dict[tuple[int, str], str]]
) -> None:
    records, theirs = talks
    number = 2 * list(TALKS).index(name) + wraps
    stage = followed(records, f"tcp.stream=={number}")
    for style in STYLES:
        assert ours(stage, style) == theirs[number, style]


def test_payload_that_was_cut_is_as_tshark_follows_it(tmp_path: Path) -> None:
    records = [
        Record(one.time, bytes(one.frame)[:60], len(bytes(one.frame)))
        for one in segments(
            [*OPEN, (0, "PA", 1, 1, b"123456789"), (0, "PA", 10, 1, b"abcdefghi"), (1, "A", 1, 19, b"")]
        )
    ]
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap(records))
    assert [one.payload for one in followed(records).records] == [b"123456", b"abcdef"]
    assert all_ours({0: followed(records)}) == tshark_follows(path, "tcp", [0])


def test_datagrams_are_as_tshark_follows_them(tmp_path: Path) -> None:
    frames = [(0, b"one"), (1, b""), (1, b"three"), (0, b"\r\n")]
    records = [
        Record(START + n, ethernet() / ipv4(*ends[:: 1 - 2 * way]) / udp(*ports[:: 1 - 2 * way]) / payload)
        for n, (way, payload) in enumerate(frames)
        for ends, ports in [((CLIENT, SERVER), (50000, 7777))]
    ]
    path = tmp_path / "datagrams.pcap"
    path.write_bytes(pcap(records))
    assert all_ours({0: followed(records, "udp.stream==0")}) == tshark_follows(path, "udp", [0])


REAL = [
    "plaintext/telnet__BruteShark__Telnet.pcap",
    "plaintext/telnet__BruteShark__Telnet_-_Line_Mode.pcapng",
    "plaintext/ftp__zeek__pe.pcap",
    "plaintext/ftp__bro__cwd-navigation.pcap",
    "plaintext/smtp-auth__zeek__smtp.pcap",
    "plaintext/pop3__zeek__pop3-unknown-commands.pcap",
    "plaintext/imap__arkime__imap.pcap",
    "plaintext/irc__arkime__irc.pcap",
    "plaintext/pgsql__nDPI__pgsql.pcap",
    "plaintext/vnc__bro__vncmac.pcap",
    "tcp/synack-retx__nDPI__whois.pcapng",
    "tcp/zwin__nDPI__ipp.pcap",
    "tcp/zwin__nDPI__edonkey.pcap",
]


@pytest.mark.parametrize("name", REAL)
def test_streams_of_a_real_capture_are_as_tshark_follows_them(name: str, captures: Path) -> None:
    stages = {number: Follow(Numbered("tcp", number)) for number in range(12)}
    transform = Annotate(details=True, applications=False)
    for _ in spanline.open(captures / name).run(*stages.values(), transforms=[transform]):
        pass
    there = {number: stage for number, stage in stages.items() if stage.number is not None}
    assert there
    assert all_ours(there) == tshark_follows(captures / name, "tcp", there)


# --- the stage


@pytest.mark.parametrize("cut", range(9))
@pytest.mark.parametrize("name", ["out of order, overlapping", "two holes", "a hole, then what was in it"])
def test_a_state_is_restored_exactly(name: str, cut: int) -> None:
    whole, first, later = (Follow(Numbered("tcp", 0)) for _ in range(3))
    batch = annotated(segments(TALKS[name]))
    whole.update(batch)
    mask = batch.numbers <= cut
    first.update(batch.select(mask))
    later.restore(first.state())
    later.update(batch.select(~mask))
    assert later.state() == whole.state()
    assert later.tables()["payloads"] == whole.tables()["payloads"]
    assert str(later.missing()) == str(whole.missing())


def test_parts_of_the_traffic_are_joined() -> None:
    batch = annotated(LOGIN)
    whole, part, other = (Follow(Numbered("tcp", 0)) for _ in range(3))
    whole.update(batch)
    part.update(annotated(LOGIN[:0]))
    other.update(batch)
    part.merge(other)
    assert part.state() == whole.state()


def test_a_table_has_a_row_for_each_payload() -> None:
    table = followed(segments(TALKS["two holes"])).tables()["payloads"]
    assert table.schema.names == [column.name for column in FOLLOWED]
    columns = table.select(["number", "node", "offset", "missing", "payload"]).to_pylist()
    assert [tuple(row.values()) for row in columns] == [(4, 1, 9, 9, b"one"), (5, 1, 19, 7, b"two")]
    assert Follow(Numbered("tcp", 0)).tables()["payloads"].num_rows == 0


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    said: list[Said] = [*OPEN, *((0, "PA", 1 + 100 * n, 1, b"x" * 100) for n in range(100))]
    stage = followed(segments(said), memory=4096)
    assert sum(len(one.payload) for one in stage.records) + stage.left_out == 10_000
    assert 0 < len(stage.records) <= 4096 // 100
    early: list[Said] = [*OPEN, *((0, "PA", 2 + 100 * n, 1, b"x" * 99) for n in range(100))]
    stage = followed(segments(early), memory=4096)
    assert stage.left_out
    path = tmp_path / "long.pcap"
    path.write_bytes(pcap(segments(said)))
    result = run("follow", path, "--stream", "tcp.stream==0", "--memory", "4K")
    assert "more of the stream are left out; --memory gives room" in result.stderr


@pytest.mark.parametrize(
    ("said", "client"),
    [(OPEN, 0), (OPEN[1:], 1), (TALKS["the server first"], 1), (TALKS["no SYN"], None)],
)
def test_who_opened_the_connection_is_told_by_its_syn(said: list[Said], client: int | None) -> None:
    assert followed(segments(said)).client == client


# --- the command


def test_a_stream_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(LOGIN))
    assert run("follow", path, "--stream", f"{SERVER}:21,{CLIENT}:50123").stdout.splitlines() == [
        "tcp.stream 0: 10.0.0.1:50123 → 10.0.0.2:21, ftp",
        "2023-11-14 22:13:20.003000000 UTC, → 30 B, ← 60 B",
        "     0.000000 ← 220 FTP server ready",
        "     0.001000 → USER alice",
        "     0.002000 ← 331 Password required",
        "     0.003000 → PASS •••••••••••",
        "     0.004000 ← 230 Logged in",
    ]


def test_a_hole_is_told_and_control_characters_are_dots(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    nasty = "\x1b[2J\u202e\x9b\0né".encode()
    said: list[Said] = [*OPEN, (1, "PA", 1, 1, nasty), (0, "PA", 6, 1, b"x"), (1, "A", 1 + len(nasty), 7, b"")]
    path.write_bytes(pcap(segments(said)))
    lines = run("follow", path, "--stream", "tcp.stream==0").stdout.splitlines()[2:]
    assert lines == [
        "     0.000000 ← .[2J...né",
        "     0.001000 → [5 bytes missing in capture file]",
        "              → x",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to follow is named"),
        (["--stream", "tcp.stream==7"], "no conversation has tcp.stream 7; the last one is 0"),
        (["--stream", "udp.stream==0"], "no conversation has udp.stream 0; there is no UDP"),
        (
            ["--stream", "10.0.0.1:1,10.0.0.2:21"],
            "no TCP or UDP conversation between 10.0.0.1:1,10.0.0.2:21; the nearest",
        ),
        (["--stream", "sctp.stream==0"], "--stream 'sctp.stream==0': this names no TCP or UDP stream"),
        (["--as", "hex", "--telnet"], "--as is for --stream"),
        (["--stream", "tcp.stream==0", "--replay"], "--replay is for --telnet"),
        (["--telnet", "--speed", "2"], "--speed is for --replay"),
        (["--stream", "tcp.stream==0", "--as-tshark", "--format", "json"], "--as-tshark is text, and not json"),
        (["--stream", "tcp.stream==0", "--reveal"], "--reveal shows secrets, and standard output is no terminal"),
        (["--stream", "tcp.stream==0", "--telnet", "--as", "raw"], "--as shows bytes"),
    ],
)
def test_what_cannot_be_followed_is_told_in_a_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(LOGIN))
    result = run("follow", path, *arguments, code=2)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert message in line


def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path, target = tmp_path / "capture.pcap", tmp_path / "stream.json"
    path.write_bytes(pcap(LOGIN))
    run("follow", path, "--stream", "tcp.stream==0", "-o", target)
    assert target.stat().st_mode & 0o777 == 0o600
    first = json.loads(target.read_text())[0]
    assert first == {
        "frame": 4, "time": "2023-11-14T22:13:20.003000000Z", "source": "10.0.0.2:21", "destination": "10.0.0.1:50123",
        "offset": 0, "missing": 0, "length": 22, "hidden": 0, "payload": "220 FTP server ready\n",
    }  # fmt: skip
