"""The flow table on conversations of a few packets, each with its truth worked out by hand.

Oracles: the definitions in schema.FLOW and in the issue; Zeek's conn_state and history as its documentation words them;
Wireshark's rule for the initial RTT; for ICMP the Community ID specification. What concerns the table as a whole is in
test_flow_table.py.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pyarrow as pa
import pytest

from spanline.errors import UsageError
from spanline.stages.flows import Flows
from tests.craft import Frame, arp, ethernet, fragments, icmp, icmpv6, ipv4, ipv6, option, raw, sctp, tcp, udp, vlan
from tests.craft_files import START, Record
from tests.craft_tunnels import gre, vxlan
from tests.rows import decode_all

MS = 1_000_000
SECOND = 1000 * MS
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
Row = dict[str, Any]


def flows_of(frames: Sequence[Record], *, verify_checksums: bool = False, **options: Any) -> list[Row]:
    """Rows of the flow Table; times in ns since START, addresses as text, durations in ns."""
    stage = Flows(**options)
    stage.update(decode_all(frames, verify_checksums=verify_checksums))
    assert stage.flow_packets + stage.non_flow_packets == len(frames)
    return rows_of(stage.tables()["flows"])


def rows_of(table: pa.Table) -> list[Row]:
    times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    for n, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) or pa.types.is_duration(field.type):
            table = table.set_column(n, field.name, table.column(n).cast(pa.int64()))
    rows = table.to_pylist()
    for row in rows:
        for name in times:
            row[name] = None if row[name] is None else row[name] - START
        for end in ("source", "destination"):
            address = ip_address(row[end])
            row[end] = str(address.ipv4_mapped or address)
    return rows


def only(rows: list[Row], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def c2s(ms: float, flags: str, seq: int, ack: int = 0, data: bytes = b"", **more: Any) -> Record:
    """A segment from the client at this millisecond."""
    segment = tcp(50000, 80, flags=flags, seq=seq, ack=ack, options=clock(more))
    return Record(START + round(ms * MS), ethernet() / ipv4(CLIENT, SERVER, ttl=more.get("ttl", 64)) / segment / data)


def s2c(ms: float, flags: str, seq: int, ack: int = 0, data: bytes = b"", **more: Any) -> Record:
    segment = tcp(80, 50000, flags=flags, seq=seq, ack=ack, options=clock(more))
    return Record(START + round(ms * MS), ethernet() / ipv4(SERVER, CLIENT, ttl=more.get("ttl", 60)) / segment / data)


def clock(more: dict[str, Any]) -> bytes:
    """TCP timestamps, (TSval, TSecr), when `clock` is given."""
    return option(8, struct.pack("!II", *more["clock"])) + b"\1\1" if "clock" in more else b""


RTTS = ("syn_synack_rtt", "synack_ack_rtt", "handshake_rtt", "initial_rtt")
RETRIES = ("syn_retransmissions", "synack_retransmissions", "syn_ambiguous")
HANDSHAKE = [c2s(0, "S", 100), s2c(30, "SA", 900, 101), c2s(37, "A", 101, 901)]
REQUEST = [c2s(40, "PA", 101, 901, b"request"), s2c(75, "PA", 901, 108, b"response!"), c2s(80, "A", 108, 910)]
CLOSE = [c2s(90, "FA", 108, 910), s2c(120, "FA", 910, 109), c2s(127, "A", 109, 911)]


def test_a_whole_connection() -> None:
    """Every column that a packet of it can change."""
    [row] = flows_of(HANDSHAKE + REQUEST + CLOSE)
    header = 14 + 20 + 20
    assert row == {
        "first_seen": 0, "last_seen": 127 * MS, "source": CLIENT, "destination": SERVER, "source_port": 50000,
        "destination_port": 80, "protocol": 6, "vlan": None, "vni": None,
        "source_packets": 6, "destination_packets": 3,
        "source_bytes": 6 * header + 7, "destination_bytes": 3 * header + 9,
        "source_payload_bytes": 7, "destination_payload_bytes": 9,
        "source_tcp_flags": 0x1B, "destination_tcp_flags": 0x1B,
        "syn_synack_rtt": 30 * MS, "synack_ack_rtt": 7 * MS, "handshake_rtt": 37 * MS, "initial_rtt": 37 * MS,
        "syn_retransmissions": 0, "synack_retransmissions": 0, "syn_ambiguous": False,
        "conn_state": "SF", "history": "ShADdFf", "application": "http", "foreign_port": False, "end_reason": "closed",
        "source_first_seen": 0, "source_last_seen": 127 * MS,
        "destination_first_seen": 30 * MS, "destination_last_seen": 120 * MS,
        "source_ttl_min": 64, "source_ttl_max": 64, "destination_ttl_min": 60, "destination_ttl_max": 60,
        "source_fin_packets": 1, "destination_fin_packets": 1, "source_syn_packets": 1, "destination_syn_packets": 1,
        "source_rst_packets": 0, "destination_rst_packets": 0, "source_psh_packets": 1, "destination_psh_packets": 1,
        "source_ack_packets": 5, "destination_ack_packets": 3, "source_urg_packets": 0, "destination_urg_packets": 0,
        "source_ece_packets": 0, "destination_ece_packets": 0, "source_cwr_packets": 0, "destination_cwr_packets": 0,
        "source_retransmissions": 0, "destination_retransmissions": 0,
    }  # fmt: skip


# (what happens, the four RTTs in ms, SYN again, SYN-ACK again, ambiguous)
HANDSHAKES: dict[str, tuple[list[Record], tuple[float | None, ...], tuple[int, int, bool]]] = {
    "plain": (HANDSHAKE, (30, 7, 37, 37), (0, 0, False)),
    "no answer": ([c2s(0, "S", 100)], (None, None, None, None), (0, 0, False)),
    "no ACK": (HANDSHAKE[:2], (30, None, None, None), (0, 0, False)),
    "data is the ACK": ([*HANDSHAKE[:2], c2s(44, "PA", 101, 901, b"x")], (30, 14, 44, 44), (0, 0, False)),
    "refused": ([c2s(0, "S", 100), s2c(12, "RA", 0, 101)], (None, None, None, 12), (0, 0, False)),
    "client resets": ([*HANDSHAKE[:2], c2s(50, "R", 101)], (30, None, None, None), (0, 0, False)),
    "SYN-ACK of something else": ([c2s(0, "S", 100), s2c(9, "SA", 900, 7), c2s(20, "A", 101, 901)],
                                  (None, 11, None, 20), (0, 0, False)),
    "SYN twice, no timestamps: the last": (
        [c2s(0, "S", 100), c2s(1000, "S", 100), s2c(1030, "SA", 900, 101), c2s(1037, "A", 101, 901)],
        (30, 7, 37, 37), (1, 0, True),
    ),
    "SYN twice, echo of the first": (
        [c2s(0, "S", 100, clock=(5, 0)), c2s(1000, "S", 100, clock=(1005, 0)),
         s2c(1030, "SA", 900, 101, clock=(7, 5)), c2s(1037, "A", 101, 901)],
        (1030, 7, 1037, 37), (1, 0, True),
    ),
    "SYN twice, echo of the last": (
        [c2s(0, "S", 100, clock=(5, 0)), c2s(1000, "S", 100, clock=(1005, 0)),
         s2c(1030, "SA", 900, 101, clock=(7, 1005)), c2s(1037, "A", 101, 901)],
        (30, 7, 37, 37), (1, 0, True),
    ),
    "SYN three times, echo of the first": (
        [c2s(0, "S", 100, clock=(5, 0)), c2s(1000, "S", 100, clock=(1005, 0)), c2s(3000, "S", 100, clock=(3005, 0)),
         s2c(3030, "SA", 900, 101, clock=(7, 5)), c2s(3037, "A", 101, 901)],
        (3030, 7, 3037, 37), (2, 0, True),
    ),
    "SYN again after the SYN-ACK": (
        [*HANDSHAKE[:2], c2s(33, "S", 100), c2s(37, "A", 101, 901)], (30, 7, 37, 4), (1, 0, False)
    ),
    "SYN-ACK twice": (
        [*HANDSHAKE[:2], s2c(1030, "SA", 900, 101), c2s(1037, "A", 101, 901)], (30, 7, 37, 1037), (0, 1, False)
    ),
    "SYN missed": (HANDSHAKE[1:], (None, 7, None, None), (0, 0, False)),
    "middle of a connection": (REQUEST, (None, None, None, None), (0, 0, False)),
    "SYN after its SYN-ACK": (
        [s2c(0, "SA", 900, 101), c2s(1, "S", 100), c2s(8, "A", 101, 901)], (None, 8, None, 7), (0, 0, False)
    ),
    "sequence numbers that wrap": (
        [c2s(0, "S", 0xFFFFFFFF), s2c(30, "SA", 0xFFFFFFFF, 0), c2s(37, "A", 0, 0)], (30, 7, 37, 37), (0, 0, False)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HANDSHAKES)
def test_round_trip_times(name: str) -> None:
    frames, rtts, counts = HANDSHAKES[name]
    [row] = flows_of(frames)
    assert only([row], *RTTS) == [tuple(None if ms is None else ms * MS for ms in rtts)]
    assert only([row], *RETRIES) == [counts]
    assert (row["source"], row["source_port"]) == (CLIENT, 50000)


@pytest.mark.parametrize(
    ("frames", "state", "history"),
    [
        (HANDSHAKE[:1], "S0", "S"),
        (HANDSHAKE, "S1", "ShA"),
        ([*HANDSHAKE, *REQUEST, *CLOSE], "SF", "ShADdFf"),
        ([c2s(0, "S", 100), s2c(1, "RA", 0, 101)], "REJ", "Sr"),
        ([*HANDSHAKE, c2s(90, "FA", 101, 901)], "S2", "ShAF"),
        ([*HANDSHAKE, s2c(90, "FA", 901, 101)], "S3", "ShAf"),
        ([*HANDSHAKE, c2s(90, "R", 101)], "RSTO", "ShAR"),
        ([*HANDSHAKE, s2c(90, "R", 901)], "RSTR", "ShAr"),
        ([c2s(0, "S", 100), c2s(1, "R", 101)], "RSTOS0", "SR"),
        ([s2c(0, "SA", 900, 101), s2c(1, "R", 901)], "RSTRH", "^hr"),
        ([c2s(0, "S", 100), c2s(1, "F", 101)], "SH", "SF"),
        ([s2c(0, "SA", 900, 101), s2c(1, "FA", 901, 101)], "SHR", "^hf"),
        (REQUEST, "OTH", "DdA"),
        ([*HANDSHAKE, REQUEST[0], REQUEST[0]], "S1", "ShADT"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_how_a_connection_went(frames: list[Record], state: str, history: str) -> None:
    [row] = flows_of(frames)
    assert only([row], "conn_state", "history", "source", "destination") == [(state, history, CLIENT, SERVER)]


def test_who_is_the_originator() -> None:
    """The first sender; for a SYN-ACK without SYN its receiver."""
    there = Record(START, ethernet() / ipv4(SERVER, CLIENT) / udp(53, 50000) / b"answer")
    assert only(flows_of([there]), "source", "source_port", "conn_state") == [(SERVER, 53, "S0")]
    assert only(flows_of(REQUEST[1:]), "source", "source_port") == [(SERVER, 80)]
    assert only(flows_of(HANDSHAKE[1:]), "source", "destination", "source_packets") == [(CLIENT, SERVER, 1)]


# --- where flows end


def pings(*seconds: float, port: int = 9) -> list[Record]:
    return [Record(START + round(at * SECOND), ethernet() / ipv4(CLIENT, SERVER) / udp(7, port)) for at in seconds]


def test_idle_timeout() -> None:
    """A flow ends when for so long, or longer, no packet came."""
    assert only(flows_of(pings(0, 119.999999999, 239)), "source_packets", "end_reason") == [(3, "forced")]
    rows = flows_of(pings(0, 120, 239.999999999, 400))
    assert only(rows, "first_seen", "source_packets", "end_reason") == [
        (0, 1, "idle"), (120 * SECOND, 2, "idle"), (400 * SECOND, 1, "forced"),
    ]  # fmt: skip
    assert only(flows_of(pings(0, 5, 9), idle_timeout=4.5), "source_packets") == [(1,), (2,)]
    assert len(flows_of(pings(0, 500, 90_000), idle_timeout=None, active_timeout=None)) == 1


def test_idle_flows_leave_while_others_live_on() -> None:
    stage = Flows(idle_timeout=10)
    others = [Record(START + n * SECOND // 10, ethernet() / ipv4(CLIENT, SERVER) / udp(1, 2)) for n in range(400)]
    stage.update(decode_all([*pings(0), *others]))
    assert (stage.live, stage.pending) == (1, 1)
    [row] = rows_of(stage.drain()["flows"])
    assert (row["end_reason"], row["destination_port"]) == ("idle", 9)
    assert (stage.pending, stage.drain()["flows"].num_rows) == (0, 0)


def test_one_false_clock_does_not_end_every_flow() -> None:
    frames = [*pings(0, 1), Record(START + 10**15, ethernet() / ipv4("9.9.9.9") / udp()), *pings(2, 3)]
    counts = {(row["source"], row["source_packets"]) for row in flows_of(frames)}
    assert counts == {(CLIENT, 4), ("9.9.9.9", 1)}


def test_active_timeout() -> None:
    """A record spans less than the timeout; the packet that reaches it begins the next."""
    every = [n * 100 for n in range(37)]  # 0 … 3600 s
    rows = flows_of(pings(*every))
    assert only(rows, "first_seen", "source_packets", "end_reason") == [
        (0, 18, "active"), (1800 * SECOND, 18, "active"), (3600 * SECOND, 1, "forced"),
    ]  # fmt: skip
    assert len(flows_of(pings(*every), active_timeout=None)) == 1
    assert only(flows_of(pings(0, 1, 1.9, 2, 3), active_timeout=2), "source_packets") == [(3,), (2,)]


def test_a_record_that_goes_on_has_no_handshake_of_its_own() -> None:
    """Cut between SYN and SYN-ACK, the second record knows of no SYN: it cannot tell how long ago it was."""
    late = [c2s(0, "S", 100), c2s(1000, "S", 100), s2c(3000, "SA", 900, 101), c2s(3007, "A", 101, 901)]
    first, second = flows_of(late, active_timeout=3)
    assert only([first, second], "end_reason", "history") == [("active", "S"), ("forced", "hA")]
    assert second["syn_synack_rtt"] in (None, 2000 * MS)
    assert second["synack_ack_rtt"] == 7 * MS

    late = [*HANDSHAKE[:2], c2s(4000, "A", 101, 901)]
    first, second = flows_of(late, active_timeout=3)
    assert only([first], *RTTS) == [(30 * MS, None, None, None)]
    assert second["synack_ack_rtt"] in (None, 3970 * MS)

    twice = [c2s(0, "S", 100), c2s(1000, "S", 100), s2c(1030, "SA", 900, 101), c2s(1037, "A", 101, 901)]
    first, second = flows_of([*twice, c2s(5000, "PA", 101, 901, b"x")], active_timeout=4)
    assert only([first, second], "syn_ambiguous", "syn_retransmissions") == [(True, 1), (False, 0)]
    assert only([second], *RTTS) == [(None, None, None, None)]


def test_a_closed_connection_takes_packets_until_idle() -> None:
    after = [c2s(200, "R", 109), s2c(300, "A", 911, 109), c2s(119_000, "A", 109, 911)]
    [row] = flows_of(HANDSHAKE + CLOSE + after)
    assert (row["source_packets"] + row["destination_packets"], row["end_reason"]) == (9, "closed")


def test_a_syn_with_another_initial_sequence_number_is_another_connection() -> None:
    again = [c2s(500, "S", 5000), s2c(560, "SA", 77, 5001), c2s(561, "A", 5001, 78)]
    rows = flows_of([*HANDSHAKE, *again])
    assert only(rows, "first_seen", "end_reason", "syn_synack_rtt") == [
        (0, "closed", 30 * MS), (500 * MS, "forced", 60 * MS),
    ]  # fmt: skip
    assert len(flows_of([*HANDSHAKE, c2s(500, "S", 100)])) == 1, "the same one is a retransmission"


@pytest.mark.parametrize("timeout", [0, -1, 1e9, float("nan")])
def test_timeouts_that_make_no_sense(timeout: float) -> None:
    with pytest.raises(UsageError):
        Flows(idle_timeout=timeout)
    with pytest.raises(UsageError):
        Flows(active_timeout=timeout)


# --- what is one flow


def count(*frames: Frame, **options: Any) -> list[int]:
    rows = flows_of([Record(START + n, frame) for n, frame in enumerate(frames)], **options)
    return sorted(row["source_packets"] + row["destination_packets"] for row in rows)


INSIDE = ethernet() / ipv4(CLIENT, SERVER) / udp(5, 6)
BACK = ethernet() / ipv4(SERVER, CLIENT) / udp(6, 5)


def test_vlans_and_tunnels_by_choice() -> None:
    tagged = [ethernet() / vlan(n) / ipv4(CLIENT, SERVER) / udp(5, 6) for n in (1, 2, 2)]
    assert count(*tagged, INSIDE) == [4]
    assert count(*tagged, INSIDE, by_vlan=True) == [1, 1, 2]
    tunnels = [ethernet() / ipv4() / udp(n, 4789) / vxlan(n) / INSIDE for n in (7, 8, 8)]
    tunnels += [ethernet() / ipv4() / gre(key=8) / INSIDE, ethernet() / ipv4() / udp(1, 4789) / vxlan(8) / BACK]
    assert count(*tunnels, INSIDE) == [1, 1, 4]
    assert count(*tunnels, INSIDE, by_vni=False) == [6]
    rows = flows_of([Record(START + n, frame) for n, frame in enumerate([*tunnels, INSIDE])])
    assert only(rows, "vni", "source") == [(7, CLIENT), (8, CLIENT), (None, CLIENT)]


def test_tunnels_count_inner_bytes_or_whole_frames() -> None:
    frame = ethernet() / ipv4() / udp(1, 4789) / vxlan(7) / INSIDE
    assert only(flows_of([Record(START, frame)]), "source_bytes") == [(len(INSIDE),)]
    assert only(flows_of([Record(START, frame)], whole_frames=True), "source_bytes") == [(len(frame),)]


def test_icmp() -> None:
    """A request and its answer are one flow, by type; other messages go one way (Community ID, "ICMP")."""
    there, back = ethernet() / ipv4(CLIENT, SERVER), ethernet() / ipv4(SERVER, CLIENT)
    ping = [Record(START + n, frame) for n, frame in enumerate([there / icmp(8), back / icmp(0), there / icmp(8)])]
    [row] = flows_of(ping)
    names = ("source", "source_port", "destination_port", "source_packets", "destination_packets")
    assert only([row], *names) == [(CLIENT, 8, 0, 2, 1)]
    assert count(there / icmp(8), back / icmp(8)) == [1, 1], "each of them asks"
    assert count(there / icmp(3, 3), back / icmp(3, 3), there / icmp(3, 1)) == [1, 1, 1]
    six = [ethernet() / ipv6("::1", "::2") / icmpv6(128), ethernet() / ipv6("::2", "::1") / icmpv6(129)]
    assert count(*six) == [2]


def test_fragments_of_a_ping_belong_to_nobody_elses_ping() -> None:
    """Only the first fragment tells the type; type 0 of the others must not be taken for an echo reply."""
    ping = [ethernet() / piece for piece in fragments(ipv4(CLIENT, SERVER) / icmp(8) / bytes(40), 24)]
    other_way = ethernet() / ipv4(SERVER, CLIENT) / icmp(8)
    assert count(*ping, other_way) == [1, 1, 1]
    assert count(ethernet() / ipv4(CLIENT, SERVER) / raw(b"", protocol=1), other_way) == [1, 1]


def test_other_protocols() -> None:
    frames = [ethernet() / ipv4(CLIENT, SERVER) / sctp(1, 2), ethernet() / ipv4(SERVER, CLIENT) / sctp(2, 1)]
    assert count(*frames) == [2]
    ospf = [ethernet() / ipv4(*ends, protocol=89) / bytes(20) for ends in ((CLIENT, SERVER), (SERVER, CLIENT))]
    assert count(*ospf) == [2]
    assert count(ethernet() / arp(), ethernet() / ipv4() / tcp(header_words=2)) == [1]


def test_per_direction_counters() -> None:
    frames = [c2s(0, "S", 100, ttl=64), c2s(1, "SEC", 100, ttl=61), s2c(2, "SA", 900, 101, ttl=255)]
    frames += [c2s(3, "UPA", 101, 901, b"ab", ttl=70), s2c(4, "A", 901, 103, ttl=1)]
    [row] = flows_of(frames)
    assert only([row], "source_ttl_min", "source_ttl_max", "destination_ttl_min", "destination_ttl_max") == [
        (61, 70, 1, 255)
    ]
    assert (row["source_tcp_flags"], row["destination_tcp_flags"]) == (0xFA, 0x12)
    letters = {"syn": (2, 1), "ack": (1, 2), "psh": (1, 0), "urg": (1, 0), "ece": (1, 0), "cwr": (1, 0), "fin": (0, 0)}
    for flag, counts in letters.items():
        assert only([row], f"source_{flag}_packets", f"destination_{flag}_packets") == [counts]


def test_one_direction_has_no_values_for_the_other() -> None:
    [row] = flows_of(pings(0))
    silent = ("first_seen", "last_seen", "ttl_min", "ttl_max")
    assert only([row], *(f"destination_{name}" for name in silent), "destination_packets") == [(None,) * 4 + (0,)]


def test_bad_checksums() -> None:
    """Only when asked for: the letter c, and nothing that the segment says is believed (Zeek)."""
    bad = ethernet() / ipv4(CLIENT, SERVER) / tcp(50000, 80, flags="R", seq=101, segment_checksum=7)
    frames = [*HANDSHAKE, Record(START + 50 * MS, bad)]
    assert only(flows_of(frames), "conn_state", "history", "source_packets") == [("RSTO", "ShAR", 3)]
    asked = flows_of(frames, verify_checksums=True)
    assert only(asked, "conn_state", "history", "source_packets") == [("S1", "ShAC", 3)]


def test_ipv6() -> None:
    frame = ethernet() / ipv6("2001:db8::1", "2001:db8::2") / udp(5, 6) / b"12345"
    [row] = flows_of([Record(START, frame)])
    assert only([row], "source", "destination", "source_payload_bytes") == [("2001:db8::1", "2001:db8::2", 5)]
