"""One conversation's handshake: which frames it has, and what they say.

Oracles: tshark on the shared captures and, live, on crafted ones; times that were put into crafted frames.
"""

from __future__ import annotations

import itertools
import json
import struct
import subprocess
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import spanline
from spanline.batch import Batch
from spanline.stages import handshake as handshake_stage
from spanline.stages.ends import Ends, Numbered, conversation
from spanline.stages.handshake import HANDSHAKE, Handshake
from spanline.transforms.annotate import Annotate
from tests import tshark
from tests.commands import run
from tests.craft import Frame, ethernet, icmp, ipv4, ipv6, option, tcp, udp
from tests.craft_files import START, Record, pcap
from tests.craft_tunnels import vxlan
from tests.rows import decode_all, mapped
from tests.test_frames_against_tshark import OTHER_FRAMES
from tests.test_streams_against_tshark import VNC

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
MSS, SCALE, SACK = option(2, b"\x05\xb4"), option(3, b"\7"), option(4)
FIELDS = (
    "frame.number", "tcp.stream", "tcp.seq", "tcp.ack", "tcp.len", "tcp.flags", "tcp.options.mss_val",
    "tcp.options.wscale.shift", "tcp.options.timestamp.tsval", "tcp.options.timestamp.tsecr",
    "tcp.analysis.ack_rtt", "tcp.analysis.initial_rtt",
)  # fmt: skip


def in_order(*parts: Iterable[Record]) -> list[Record]:
    return sorted(itertools.chain(*parts), key=lambda record: record.time)


def timestamps(value: int, echo: int) -> bytes:
    return option(8, struct.pack("!II", value, echo))


def segment(
    time: int, way: int, flags: str, payload: bytes = b"", *, port: int = 50123, isn: int = 7, **others: Any
) -> Record:
    """A segment `time` ns after the start; way 0 is the client's. `seq` and `ack` are relative to the first ones."""
    ends = (CLIENT, SERVER), (port, 443)
    seq, ack = others.pop("seq", 0), others.pop("ack", 0)
    bases = (isn, 70) if way == 0 else (70, isn)
    frame = ipv4(ends[0][way], ends[0][1 - way]) / tcp(
        ends[1][way],
        ends[1][1 - way],
        seq=bases[0] + seq,
        ack=bases[1] + ack if "A" in flags else 0,
        flags=flags,
        **others,
    )
    return Record(START + time, ethernet() / frame / payload)


def opening(at: int = 0, **others: Any) -> list[Record]:
    """SYN, again after 1 s, SYN-ACK after 1.5 ms more, ACK after 0.25 ms more, then data and its ACK."""
    again = at + 10**9
    return [
        segment(at, 0, "S", options=MSS + SCALE + SACK + timestamps(1, 0), **others),
        segment(again, 0, "S", options=MSS + SCALE + SACK + timestamps(1001, 0), **others),
        segment(again + 1_500_000, 1, "SA", ack=1, options=MSS + SACK + timestamps(50, 1001), **others),
        segment(again + 1_750_000, 0, "A", seq=1, ack=1, options=timestamps(1003, 50), **others),
        segment(again + 1_800_000, 0, "PA", b"hello", seq=1, ack=1, options=timestamps(1003, 50), **others),
        segment(again + 3_000_000, 1, "A", seq=1, ack=6, options=timestamps(52, 1003), **others),
    ]


def annotated(records: Iterable[Record], transform: Annotate | None = None) -> Batch:
    (batch,) = (transform or Annotate(details=True)).feed(decode_all(records))
    return batch


def follow(wanted: str, records: Iterable[Record]) -> Handshake:
    stage = Handshake(conversation(wanted))
    stage.update(annotated(records))
    return stage


def rows(stage: Handshake) -> list[dict[str, Any]]:
    return plain(stage.tables()["frames"])


def plain(table: pa.Table) -> list[dict[str, Any]]:
    columns = [column.cast(pa.int64()) if pa.types.is_temporal(column.type) else column for column in table.columns]
    return pa.table(columns, names=table.schema.names).to_pylist()


def test_the_frames_of_a_handshake() -> None:
    found = rows(follow("tcp.stream==0", opening()))
    names = ("number", "tcp_flags", "relative_seq", "relative_ack", "mss", "window_shift", "sack_permitted", "ack_rtt")
    assert [tuple(row[name] for name in names) for row in found] == [
        (1, 0x02, 0, None, 1460, 7, True, None),
        (2, 0x02, 0, None, 1460, 7, True, None),
        (3, 0x12, 0, 1, 1460, None, True, 1_001_500_000),
        (4, 0x10, 1, 1, None, None, False, 250_000),
    ]
    assert [(row["timestamp_value"], row["timestamp_echo"]) for row in found] == [
        (1, 0),
        (1001, 0),
        (50, 1001),
        (1003, 50),
    ]
    assert [row["timestamp"] - START for row in found] == [0, 10**9, 1_001_500_000, 1_001_750_000]
    assert found[2]["source"] == mapped(SERVER)


def test_its_flow_has_the_round_trip_times_and_counts_all_frames() -> None:
    (flow,) = plain(follow("tcp.stream==0", opening()).tables()["flows"])
    times = {name: flow[f"{name}_rtt"] for name in ("syn_synack", "synack_ack", "handshake", "initial")}
    assert times == {"syn_synack": 1_500_000, "synack_ack": 250_000, "handshake": 1_750_000, "initial": 1_750_000}
    assert (flow["source_packets"], flow["destination_packets"], flow["syn_retransmissions"]) == (4, 2, 1)


A, B = f"{CLIENT}:50123", f"{SERVER}:443"


@pytest.mark.parametrize("wanted", ["tcp.stream==1", f"{A},{B}", f"{B},{A}"])
def test_number_and_ends_name_the_same_conversation(wanted: str) -> None:
    other = opening(100, port=50124)
    stage = follow(wanted, in_order(other, opening(200)))
    assert stage.number == 1
    assert [row["source_port"] for row in rows(stage)] == [50123, 50123, 443, 50123]
    assert stage.others == []


def test_of_several_between_the_same_ends_it_is_the_first_and_the_others_are_named() -> None:
    later = [opening(n * 10**10, isn=7000 * n) for n in range(1, 4)]
    stage = follow(f"{A},{B}", [*opening(), *itertools.chain(*later)])
    assert (stage.number, stage.others) == (0, [1, 2, 3])
    assert len(rows(stage)) == 4


@pytest.mark.parametrize(
    ("records", "numbers"),
    [
        ([segment(0, 0, "S"), segment(10, 1, "RA", ack=1)], [1, 2]),
        ([segment(0, 0, "S"), segment(10, 1, "R"), segment(20, 0, "A", seq=1)], [1, 2, 3]),
        ([segment(0, 0, "S"), segment(10, 1, "SA", ack=1), segment(20, 0, "PA", b"x", seq=1, ack=1)], [1, 2, 3]),
        ([segment(0, 0, "PA", b"x"), segment(10, 1, "A", ack=1), segment(20, 0, "PA", b"y", seq=1)], [1]),
        (
            [segment(0, 0, "S"), segment(10, 1, "SA", ack=1), segment(20, 0, "A", seq=1, ack=1),
             segment(30, 1, "SA", ack=1), segment(40, 0, "A", seq=1, ack=1)],
            [1, 2, 3, 4],
        ),
    ],
    ids=["refused", "reset without ACK", "data at once", "midstream", "SYN-ACK again"],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 100])
def test_which_frames_are_the_handshakes(records: list[Record], numbers: list[int], size: int) -> None:
    stage, transform = Handshake(Numbered("tcp", 0)), Annotate(details=True)
    for start in range(0, len(records), size):
        batch = decode_all(records[start : start + size])
        batch.numbers = batch.numbers + start
        stage.update(next(iter(transform.feed(batch))))
    assert [row["number"] for row in rows(stage)] == numbers


def test_a_syn_sent_again_without_end_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake_stage, "MOST_FRAMES", 10)
    stage = follow("tcp.stream==0", [segment(n * 1000, 0, "S") for n in range(25)])
    assert (len(rows(stage)), stage.left_out) == (10, 15)


def test_tunnels_and_ipv6() -> None:
    inner = ipv6("2001:db8::1", "2001:db8::2") / tcp(50123, 443, seq=7, flags="S", options=MSS)
    records = [Record(START, ethernet() / ipv4() / udp(50000, 4789) / vxlan(9) / ethernet() / inner)]
    stage = follow("[2001:db8::2]:443,[2001:db8::1]:50123", records)
    assert [(row["source"], row["mss"]) for row in rows(stage)] == [(mapped("2001:db8::1"), 1460)]


# An ICMP error about a segment that was not captured.
QUOTING = Record(START, ethernet() / ipv4() / icmp(3, 1) / bytes(ipv4(SERVER, CLIENT) / tcp(1, 2)))
OTHERS: list[tuple[str, list[Record], str]] = [
    ("tcp.stream==4", opening(), "no conversation has tcp.stream 4; the last one is 0"),
    ("tcp.stream==4", in_order(opening(), opening(10, port=2)), "no conversation has tcp.stream 4; the last one is 1"),
    (
        "tcp.stream==0",
        [Record(START, ethernet() / ipv4() / icmp())],
        "no conversation has tcp.stream 0; there is no TCP",
    ),
    (
        "tcp.stream==0",
        [QUOTING, *opening(10)],
        "no conversation has tcp.stream 0; only headers of tunnels or quoted in ICMP messages do, or frames that a "
        "filter leaves out",
    ),
    (f"{A},{SERVER}:444", opening(), f"no TCP conversation between {A},{SERVER}:444; the nearest: {A},{B}"),
    (f"{A},10.9.9.9:1", opening(), f"no TCP conversation between {A},10.9.9.9:1; the nearest: {A},{B}"),
    ("10.9.9.8:1,10.9.9.9:2", opening(), "there is none with one of these addresses or ports"),
    (
        f"{CLIENT}:53000,{SERVER}:53",
        [Record(START, ethernet() / ipv4() / udp(53000, 53))],
        "they exchange datagrams, which have no handshake",
    ),
]


@pytest.mark.parametrize(("wanted", "records", "message"), OTHERS)
def test_what_is_not_there_is_told_with_what_is_near(
    wanted: str, records: list[Record], message: str, tmp_path: Path
) -> None:
    assert message in str(follow(wanted, records).missing())
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(records))
    result = run("rtt", path, "--follow", wanted, code=2)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert message in line


@pytest.mark.parametrize(
    "wanted", [Numbered("tcp", 0), Numbered("tcp", 1), conversation(f"{A},{B}"), conversation(f"{A},{SERVER}:444")]
)
@pytest.mark.parametrize("cut", range(0, 13, 3))
def test_a_state_is_restored_exactly(wanted: Numbered | Ends, cut: int) -> None:
    records = in_order(opening(), opening(50, port=50124))
    whole, first, later = Handshake(wanted), Handshake(wanted), Handshake(wanted)
    batch = annotated(records)
    whole.update(batch)
    mask = batch.numbers <= cut
    first.update(batch.select(mask))
    later.restore(first.state())
    later.update(batch.select(~mask))
    assert later.state().keys() == whole.state().keys()
    assert (later.number, later.others, later.left_out) == (whole.number, whole.others, whole.left_out)
    assert str(later.missing()) == str(whole.missing())
    assert later.tables() == whole.tables()


def test_parts_of_the_traffic_are_joined() -> None:
    batch = annotated(in_order(opening(), opening(50, port=50124)))
    whole, parts = Handshake(Numbered("tcp", 1)), [Handshake(Numbered("tcp", 1)), Handshake(Numbered("tcp", 1))]
    whole.update(batch)
    mask = batch.streams["stream"] == 1
    parts[0].update(batch.select(~mask))
    parts[1].update(batch.select(mask))
    parts[0].merge(parts[1])
    assert parts[0].number == 1
    assert parts[0].tables() == whole.tables()


def test_its_table_has_its_columns_also_when_it_is_empty() -> None:
    assert Handshake(Numbered("tcp", 0)).tables()["frames"].schema.names == [column.name for column in HANDSHAKE]


# --- the command


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap([*opening(), *opening(10**10, isn=9000)], nanoseconds=True))
    return path


def test_what_the_command_shows(capture: Path) -> None:
    result = run("rtt", capture, "--follow", f"{A},{B}")
    assert result.stdout.splitlines() == [
        "tcp.stream 0: 10.0.0.1:50123 → 10.0.0.2:443",
        "2023-11-14 22:13:20.000000000 UTC, 6 frames, 421 B, state S1",
        "Frame      Seconds     Flags       Seq  Ack  Len  ACK RTT  Options",
        "    1  0.000000000  →  [SYN]         0    –    0        –  MSS=1460 WS=128 SACK_PERM TSval=1 TSecr=0",
        "    2  1.000000000  →  [SYN]         0    –    0        –  MSS=1460 WS=128 SACK_PERM TSval=1001 TSecr=0",
        "    3  1.001500000  ←  [SYN, ACK]    0    1    0   1.00 s  MSS=1460 SACK_PERM TSval=50 TSecr=1001",
        "    4  1.001750000  →  [ACK]         1    1    0   250 µs  TSval=1003 TSecr=50",
        "",
        "SYN → SYN-ACK  1.50 ms  0.001500000 s  from the mirror to the server and back",
        "SYN-ACK → ACK   250 µs  0.000250000 s  from the mirror to the client and back",
        "SYN → ACK      1.75 ms  0.001750000 s  from the client to the server and back",
        "iRTT           1.75 ms  0.001750000 s  Wireshark's tcp.analysis.initial_rtt",
        "The SYN was sent again: times begin with the one that was answered.",
    ]
    assert result.stderr == "spanline: the same ends have other conversations: tcp.stream 1\n"


def test_on_a_screen_lines_are_no_wider_than_it(capture: Path) -> None:
    shown = run("rtt", capture, "--follow", "tcp.stream==0", width=80).stdout.splitlines()
    assert max(map(len, shown)) <= 80
    assert "       MSS=1460 WS=128 SACK_PERM TSval=1 TSecr=0" in shown


def test_fewer_frames_are_shown_when_asked(capture: Path) -> None:
    shown = run("rtt", capture, "--follow", "tcp.stream==0", "-n", "3").stdout
    assert "and 1 frame more of the handshake; -n 0 shows them" in shown


def test_json_has_the_flow_with_its_frames(capture: Path) -> None:
    (found,) = json.loads(run("rtt", capture, "--follow", "tcp.stream==1", "--format", "json").stdout)
    assert (found["tcp_stream"], found["source"], found["initial_rtt"]) == (1, CLIENT, 1_750_000)
    assert [frame["number"] for frame in found["frames"]] == [7, 8, 9, 10]
    assert found["frames"][2]["ack_rtt"] == 1_001_500_000
    assert found["frames"][0]["timestamp"] == "2023-11-14T22:13:30.000000000Z"


def test_csv_has_the_frames(capture: Path) -> None:
    shown = run("rtt", capture, "--follow", "tcp.stream==0", "--format", "csv").stdout.splitlines()
    assert len(shown) == 5
    assert shown[0].startswith('"number","timestamp","source"')


def test_a_conversation_without_syn_has_no_times(tmp_path: Path) -> None:
    path = tmp_path / "midstream.pcap"
    path.write_bytes(pcap([segment(0, 0, "PA", b"x"), segment(10, 1, "A", ack=1)]))
    shown = run("rtt", path, "--follow", "tcp.stream==0").stdout
    assert "iRTT           –  –  Wireshark's tcp.analysis.initial_rtt" in shown.splitlines()


@pytest.mark.parametrize("others", [["--plot", "x.png"], ["--metric", "initial"]])
def test_what_does_not_go_together_is_refused(others: list[str]) -> None:
    result = run("rtt", "no-such-capture.pcap", "--follow", "tcp.stream==0", *others, code=2)
    assert "no --metric, no --plot" in " ".join(result.stderr.split())


def test_a_wrong_conversation_is_one_line_and_nothing_is_read() -> None:
    result = run("rtt", "no-such-capture.pcap", "--follow", "10.0.0.1:80", code=2)
    (line,) = result.stderr.splitlines()
    assert line.startswith("spanline: --follow '10.0.0.1:80': two ends make a conversation")


def test_a_fault_of_the_file_is_told_too(capture: Path) -> None:
    capture.write_bytes(capture.read_bytes()[:-5])
    assert "truncated" in run("rtt", capture, "--follow", "tcp.stream==0", code=2).stderr
    lines = run("rtt", capture, "--follow", "tcp.stream==9", code=2).stderr.splitlines()
    assert ["truncated" in lines[0], "no conversation has" in lines[1], len(lines)] == [True, True, 2]


# --- tshark


def all_handshakes(capture: Path, numbers: Iterable[int]) -> dict[int, Handshake]:
    """Several conversations of a capture, in one pass."""
    stages = {number: Handshake(Numbered("tcp", number)) for number in numbers}
    for _ in spanline.open(capture).run(*stages.values(), transforms=[Annotate(details=True)]):
        pass
    return stages


def nanoseconds(text: str) -> int | None:
    return round(Decimal(text) * 10**9) if text else None


def number(text: str) -> int | None:
    return int(text, 0) if text else None


def belongs(frames: list[tshark.Frame]) -> list[tshark.Frame]:
    """Of one stream the frames with SYN, the first one without, and the first one with ACK alone behind a SYN."""
    wanted, syn, other, ack = [], False, False, False
    for frame in frames:
        flags = int(frame["tcp.flags"].split(",")[-1], 0)
        ends = syn and flags & 0x12 == 0x10 and not ack
        if flags & 2 or not other or ends:
            wanted.append(frame)
        syn |= bool(flags & 2)
        other |= not flags & 2
        ack |= ends
    return wanted


def differences(capture: Path, frames: list[tshark.Frame]) -> tuple[list[str], int]:
    """What differs between the handshakes of `capture` and tshark's `frames`, and how many streams were compared."""
    streams: dict[int, list[tshark.Frame]] = {}
    for frame in frames:
        if found := tshark.occurrences(frame, "tcp.stream"):
            streams.setdefault(int(found[-1]), []).append(frame)
    wrong = []
    for stream, stage in all_handshakes(capture, streams).items():
        theirs, tables = belongs(streams[stream]), stage.tables()
        ours = plain(tables["frames"])
        if [row["number"] for row in ours] != [int(frame["frame.number"]) for frame in theirs]:
            wrong.append(f"{capture.name} {stream}: frames {[row['number'] for row in ours]}")
            continue
        for row, frame in zip(ours, theirs, strict=True):
            last = {name: frame.get(name, "").split(",")[-1] for name in FIELDS}
            acknowledges = row["tcp_flags"] & 0x10
            pairs = {
                "ack_rtt": (row["ack_rtt"], nanoseconds(last["tcp.analysis.ack_rtt"])),
                "seq": (row["relative_seq"], number(last["tcp.seq"])),
                "ack": (row["relative_ack"], number(last["tcp.ack"]) if acknowledges else None),
                "mss": (row["mss"], number(last["tcp.options.mss_val"])),
                "shift": (row["window_shift"], number(last["tcp.options.wscale.shift"])),
                "tsval": (row["timestamp_value"], number(last["tcp.options.timestamp.tsval"])),
            }
            wrong += [f"{capture.name} frame {row['number']}: {n} {p}" for n, p in pairs.items() if p[0] != p[1]]
        printed = {
            nanoseconds(rtt) for frame in streams[stream] if (rtt := frame["tcp.analysis.initial_rtt"].split(",")[-1])
        }
        measured = {flow["initial_rtt"] for flow in plain(tables["flows"])}
        if not printed <= measured:
            wrong.append(f"{capture.name} {stream}: initial RTT {measured}, not {printed}")
    return wrong, len(streams)


def live(path: Path) -> list[tshark.Frame]:
    arguments = [argument for field in FIELDS for argument in ("-e", field)]
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in ran.stdout.splitlines()]


def test_crafted_handshakes_equal_tsharks(tmp_path: Path) -> None:
    frames: list[list[Record]] = [
        opening(),
        opening(10, port=2),
        opening(10**10, isn=9000),
        [segment(20, 0, "S", port=3), segment(30, 1, "RA", ack=1, port=3)],
        [segment(20, 0, "PA", b"x", port=4), segment(30, 1, "A", ack=1, port=4)],
        [
            segment(20, 0, "S", port=5),
            segment(25, 1, "SA", ack=1, port=5),
            segment(26, 0, "PA", b"x", seq=1, ack=1, port=5),
        ],
    ]
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(in_order(*frames), nanoseconds=True))
    assert differences(path, live(path)) == ([], 6)


SOCKS = "tshark's SOCKS dissector opens a conversation of its own, which takes a number"
# Captures in which handshakes differ, and why.
OTHER_HANDSHAKES = {
    "apps/http__tcpflow__bug8.pcap": "a time with more than 10^6 µs: tshark's 32-bit nanoseconds overflow",
    "ip/v6ext__FlowTest__ipv6-routing-header.pcap": "tshark's streams go by the segment list, spanline's by the header",
    "plaintext/socks__ja4__socks-https-example.pcap": SOCKS,
    "plaintext/socks__nDPI__shadowsocks.pcap": SOCKS,
    "plaintext/socks__nDPI__tls_heur__shadowsocks-tcp.pcapng": SOCKS,
    "plaintext/socks__nDPI__tls_heur__vmess-tcp-tls.pcapng": SOCKS,
    "plaintext/socks__nDPI__tls_heur__vmess-tcp.pcapng": SOCKS,
    "plaintext/vnc__nDPI__vnc.pcap": VNC,
}


def test_handshakes_of_captures_equal_tsharks(captures: Path, oracle: Path) -> None:
    """Every stream of all captures in which tshark knows an initial RTT, and spanline decodes every frame."""
    compared, streams, wrong, stale = 0, 0, [], []
    for path in (p for p in tshark.manifest(captures) if p not in OTHER_FRAMES):
        frames = tshark.frames(oracle, path)
        if not any(frame["tcp.analysis.initial_rtt"] for frame in frames):
            continue
        if not all(tshark.is_covered(frame) and not tshark.quotes(frame) for frame in frames):
            continue
        differ, count = differences(captures / path, frames)
        if path in OTHER_HANDSHAKES:
            stale += [] if differ else [path]
            continue
        wrong += differ
        compared, streams = compared + 1, streams + count
    assert not wrong, "\n".join(wrong)
    assert not stale, f"listed as different, but equal: {stale}"
    assert compared > 400
    assert streams > 1600


def test_an_unknown_frame_is_no_tcp() -> None:
    stage = Handshake(Numbered("tcp", 0))
    stage.update(annotated([Record(START, Frame())]))
    assert stage.number is None
