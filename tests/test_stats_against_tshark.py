"""Conversations, endpoints and intervals, line for line as tshark 4.0.17 prints them.

Oracle: what tshark printed of every shared capture, and tshark itself on captures of our own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import spanline
from spanline.cli.stats_tshark import NAMES, conversation_lines, endpoint_lines, io_lines
from spanline.stages.conversations import Conversations
from spanline.stages.io_statistics import IoStatistics
from spanline.transforms.annotate import Annotate
from tests import tshark
from tests.craft import (
    Frame,
    arp,
    authentication,
    ethernet,
    extension,
    fddi,
    icmp,
    icmpv6,
    ipv4,
    ipv6,
    ipv6_fragment,
    llc,
    null,
    raw,
    sctp,
    sctp_chunk,
    sll,
    snap,
    tcp,
    token_ring,
    udp,
    vlan,
)
from tests.craft_files import START, Record, pcap
from tests.craft_fragments import piece, pieces
from tests.craft_tunnels import gre, vxlan
from tests.test_frames_against_tshark import FOLDERS, OTHER_FRAMES

TITLES = {f"{name} Conversations": kind for kind, name in NAMES.items()}
TITLES |= {f"{name} Endpoints": kind for kind, name in NAMES.items() if kind != "sctp"}

OWN_STREAM = "tshark's {} dissector opens a conversation of its own, and its later packets are another row"
SNMP = OWN_STREAM.format("SNMP")
RTP = OWN_STREAM.format("RTP")
FINAL = "tshark takes an end from a source route, a routing header or a home address; spanline the IP header's own"
MICROSECONDS = "a field for µs of more than 4.29 s, which overflows in tshark"
BIG_TCP = "an IPv6 or UDP length of 0; tshark 4.0 stops there, spanline reads on to the end of the frame"
SCTP = "tshark counts SCTP when all in its chunks was read, which is malformed here"
# Captures in which lines differ, and why; with them, how many lines.
OTHER_LINES = {
    "apps/http__tcpflow__bug8.pcap": MICROSECONDS,
    "apps/ics__ICS-Security-Tools__hart_ip.pcap": OWN_STREAM.format("HART-IP"),
    "apps/ndpi__nDPI__hart_ip.pcap": OWN_STREAM.format("HART-IP"),
    "apps/ndpi__nDPI__skinny.pcap": RTP,
    "apps/sctp__PcapFlowLab__13_sctp_truncated_data_chunk_header.pcap": SCTP,
    "apps/sctp__arkime__sctp-www.pcap": SCTP,
    "formats/pcap-ns-le__gopacket__test011.pcapng": "a frame without a time, which tshark shows as at the start",
    "ip/v4opt__PcapFlowLab__07_ipv4_loose_source_route_udp.pcap": FINAL,
    "ip/v6ext__FlowTest__ipv6-routing-header.pcap": FINAL,
    "malformed/bro__bro__ip6-hoa-tcp-bad-chksum.pcap": FINAL,
    "malformed/bro__bro__ip6-hoa-udp-bad-chksum.pcap": FINAL,
    "malformed/bro__bro__snmpv1_get_short.pcap": SNMP,
    "malformed/bro__bro__snmpwalk-short.pcap": SNMP,
    "malformed/ntopng__ntopng__mobility_opt_asan_7.pcap": MICROSECONDS,
    "malformed/ntopng__ntopng__olsr-oobr-1.pcap": MICROSECONDS,
    "malformed/ntopng__ntopng__olsr-oobr-2.pcap": MICROSECONDS,
    "malformed/ntopng__ntopng__rsvp_uni-oobr-3.pcap": MICROSECONDS,
    "malformed/ntopng__ntopng__rx_serviceid_oobr.pcap": MICROSECONDS,
    "malformed/suricata__suricata-verify__tcp-session-decode-malformed-ipv4__input.pcap": (
        "tshark stops at a malformed IP option; spanline does not read IP options"
    ),
    "malformed/zeek__zeek__snmp-crash-62790.pcap": SNMP,
    "plaintext/sip__BruteShark__h223-over-rtp.cap": RTP,
    "plaintext/snmp__arkime__SNMPv2c_get_requests.pcap": SNMP,
    "plaintext/snmp__eos-methods__snmp.pcap": SNMP,
    "plaintext/snmp__nDPI__snmp.pcap": SNMP,
    "plaintext/snmp__suricata-verify__snmp-v3-get-bulk-unauth.pcap": SNMP,
    "plaintext/vnc__nDPI__vnc.pcap": OWN_STREAM.format("VNC"),
    "tunnels/ipsec__PcapPlusPlus__ipv6_options.pcap": FINAL,
    "tunnels/geneve__PcapFlowLab__24_geneve_outer_ipv6_fragmentation.pcap": "UDP is longer than its fragment",
    **{f"tunnels/geneve__tcpdump__bigtcp-ipv{a}-geneve-ipv{b}.pcap": BIG_TCP for a in (4, 6) for b in (4, 6)},
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv4.pcap": BIG_TCP,
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv6.pcap": BIG_TCP,
}


def lines_of(conversations: Conversations, title: str) -> list[str]:
    made = conversation_lines if title.endswith("Conversations") else endpoint_lines
    return list(made(conversations, TITLES[title]))


def read(path: Path) -> Conversations:
    conversations = Conversations()
    for _ in spanline.open(path).run(conversations, transforms=[Annotate()]):
        pass
    return conversations


def different(path: Path, theirs: dict[str, list[str]]) -> list[str]:
    """The first line of each section that differs."""
    conversations = read(path)
    texts = []
    for title, lines in theirs.items():
        ours = lines_of(conversations, title)
        pairs = zip(ours, lines, strict=False)
        if ours != lines:
            first = next((f"{our!r} is not {their!r}" for our, their in pairs if our != their), "more or fewer lines")
            texts.append(f"{title}: {first}")
    return texts


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_covered_capture_equals_the_oracle(folder: str, captures: Path, oracle: Path) -> None:
    wrong, stale, compared = [], [], 0
    for path in (path for path in tshark.manifest(captures) if path.startswith(f"{folder}/")):
        frames = tshark.frames(oracle, path)
        if not frames or path in OTHER_FRAMES or not all(map(tshark.is_covered, frames)):
            continue
        compared += 1
        texts = different(captures / path, tshark.statistics(oracle, path))
        if path in OTHER_LINES:
            stale += [] if texts else [path]
        else:
            wrong += [f"{path}: {text}" for text in texts]
    assert not wrong, "\n".join(wrong)
    assert not stale, f"listed as different, but equal: {stale}"
    assert compared


def test_the_comparison_covers_most_captures(captures: Path, oracle: Path) -> None:
    paths = tshark.manifest(captures)
    covered = [path for path in paths if all(map(tshark.is_covered, tshark.frames(oracle, path)))]
    assert len(covered) > 0.8 * len(paths)
    assert len(OTHER_LINES) < 0.05 * len(covered)


def inside(*frames: Frame) -> Iterator[Frame]:
    """Each of the frames in VXLAN, in VXLAN in VXLAN, and twice as many things around it."""
    outer = ethernet("02:0a:00:00:00:01", "02:0a:00:00:00:02") / ipv4("192.0.2.1", "192.0.2.2") / udp(50000, 4789)
    for frame in frames:
        yield outer / vxlan(7) / frame
        yield outer / vxlan(7) / outer / vxlan(8) / frame
        yield ethernet() / ipv6() / udp(50001, 4789) / vxlan(9) / frame
        yield ethernet() / vlan(5) / ipv4("192.0.2.3", "192.0.2.4") / gre(key=5) / frame


WHOLE = [
    ethernet() / ipv4() / tcp(flags="S"),
    ethernet() / ipv4("10.0.0.2", "10.0.0.1") / tcp(80, 40000, flags="SA"),
    ethernet() / ipv6() / udp() / b"data",
    ethernet() / ipv6("2001:db8::2", "2001:db8::1") / tcp(80, 40001) / b"data",
    ethernet() / arp(),
    ethernet() / ipv4() / icmp() / b"ping",
]
QUOTED = bytes(ipv4("10.9.9.9", "10.8.8.8") / udp(1, 2) / b"12345678")
ODD: dict[str, list[Frame]] = {
    "plain": WHOLE,
    "tunnels": list(inside(*WHOLE)),
    "ip in ip": [
        ethernet() / ipv4("192.0.2.1", "192.0.2.2") / ipv4() / udp(),
        ethernet() / ipv4("192.0.2.1", "192.0.2.2") / ipv6() / tcp(),
        ethernet() / ipv6() / ipv4() / ipv6("2001:db8:1::1", "2001:db8:1::2") / udp(),
        ethernet() / ipv4() / gre() / ipv4("192.0.2.1", "192.0.2.2") / tcp(),
        ethernet() / ipv4() / gre() / ipv6() / udp(),
        ethernet() / ipv4() / gre() / arp(),
    ],
    "quoted": [
        ethernet() / ipv4() / icmp(3, 3, bytes(4)) / QUOTED,
        ethernet() / ipv4() / icmp(11, 0, bytes(4)) / QUOTED[:24],
        ethernet() / ipv6() / icmpv6(1, 0, bytes(4)) / bytes(ipv6("2001:db8:9::1", "2001:db8:9::2") / tcp()),
    ],
    "fragments": [
        *(ethernet() / part for part in pieces(ipv4() / udp() / bytes(100), 40)),
        *(ethernet() / part for part in pieces(ipv6() / tcp() / bytes(100), 40, identification=2)),
        ethernet() / piece(ipv4() / udp() / bytes(100), 40, identification=3),
        ethernet() / piece(ipv6() / udp() / bytes(100), 0, 40, identification=4),
        ethernet() / ipv6() / ipv6_fragment(identification=5) / udp() / b"atomic",
    ],
    "extensions": [
        ethernet() / ipv6() / extension(0) / extension(60) / udp(),
        ethernet() / ipv6(next_header=59) / raw(b"nothing"),
        ethernet() / ipv6() / extension(0) / raw(b"nothing", protocol=59),
        ethernet() / ipv6(next_header=135) / b"\x3b\x01\x00\x00\x00\x00\x00\x00" / bytes(8),
        ethernet() / ipv6(next_header=253) / b"experiment",
        ethernet() / ipv6() / authentication() / udp(),
        ethernet() / ipv4() / authentication() / udp(),
        ethernet() / ipv4(protocol=253) / b"experiment",
    ],
    "contradictions": [
        ethernet() / ipv4() / udp(length=7),
        ethernet() / ipv4() / udp(length=0) / b"1234",
        ethernet() / ipv4() / udp(length=900) / b"1234",
        ethernet() / ipv4() / udp(length=10) / b"1234",
        ethernet() / ipv4(total_length=24) / udp(),
        ethernet() / ipv4(header_words=4) / udp(),
        ethernet() / ipv4(total_length=0) / udp(),
        ethernet() / ipv6(payload_length=4) / udp(),
        ethernet() / ipv6(payload_length=900) / udp(),
    ],
    "sctp": [
        ethernet() / ipv4() / sctp() / sctp_chunk(11),
        ethernet() / ipv4("10.0.0.2", "10.0.0.1") / sctp(5001, 40000) / sctp_chunk(14),
    ],
    "a port again": [
        ethernet() / ipv4() / tcp(seq=1, flags="S"),
        ethernet() / ipv4() / tcp(seq=2),
        ethernet() / ipv4() / tcp(seq=100_000, flags="S"),
        ethernet() / ipv4("10.0.0.2", "10.0.0.1") / tcp(80, 40000, flags="SA"),
    ],
    "to itself": [
        ethernet(source="02:00:00:00:00:07", destination="02:00:00:00:00:07")
        / ipv4("127.0.0.1", "127.0.0.1")
        / udp(7, 7)
    ],
    "802.2": [ethernet() / llc() / b"stp", ethernet() / vlan(1) / vlan(2) / ipv4() / udp()],
}


def as_capture(folder: Path, frames: Iterable[Frame | Record], link_type: int = 1) -> Path:
    path = folder / "own.pcap"
    path.write_bytes(pcap(frames, nanoseconds=True, link_type=link_type))
    return path


def assert_equal_to_tshark(path: Path) -> None:
    taps = [f"conv,{kind}" for kind in NAMES] + [f"endpoints,{kind}" for kind in NAMES if kind != "sctp"]
    theirs = tshark.sections(tshark.run(path, *taps).splitlines())
    assert set(theirs) == set(TITLES)
    assert different(path, theirs) == []


@pytest.mark.parametrize("name", ODD)
def test_captures_of_our_own_equal_tshark(name: str, tmp_path: Path) -> None:
    """With some bytes, and with one frame before the first one in time."""
    frames = [Record(START + n * 10**8, frame) for n, frame in enumerate(ODD[name])]
    frames += [Record(START - 10**9, frame) for frame in ODD[name]]
    assert_equal_to_tshark(as_capture(tmp_path, frames))


def test_frames_cut_anywhere_equal_tshark(tmp_path: Path) -> None:
    frames = [
        Record(START, bytes(frame)[:length], len(bytes(frame)))
        for frame in (*WHOLE[:4], ODD["tunnels"][0], ODD["ip in ip"][1], ODD["extensions"][0])
        for length in range(12, len(bytes(frame)))
    ]
    assert_equal_to_tshark(as_capture(tmp_path, frames))


@pytest.mark.parametrize(
    ("link_type", "outer"),
    [(113, sll()), (101, Frame()), (0, null()), (1, ethernet()), (6, token_ring() / snap()), (10, fddi() / snap())],
    ids=["sll", "raw", "null", "eth", "tr", "fddi"],
)
def test_link_types_equal_tshark(link_type: int, outer: Frame, tmp_path: Path) -> None:
    inner = ethernet("02:0b:00:00:00:01", "02:0b:00:00:00:02") / ipv4("192.0.2.1", "192.0.2.2") / udp()
    frames = [
        outer / ipv4() / tcp(),
        outer / ipv6() / udp() / b"1",
        outer / ipv4() / udp(50000, 4789) / vxlan(1) / inner,
    ]
    frames.append(
        outer
        / ipv4()
        / udp(50000, 4789)
        / vxlan(1)
        / inner.__class__(*inner.layers[:2])
        / udp(5, 4789)
        / vxlan(2)
        / inner
    )
    assert_equal_to_tshark(as_capture(tmp_path, frames, link_type))


def test_many_sizes_equal_tshark(tmp_path: Path) -> None:
    """Bytes of every magnitude that tshark rounds, in one conversation each."""
    sizes = (9_999, 10_000, 10_999, 99_999, 9_999_999, 10_000_000, 2_000_000_000)
    frames = [
        Record(START + n, ethernet() / ipv4() / udp(n + 1), size) for n, size in enumerate(sizes) for _ in range(4)
    ]
    assert_equal_to_tshark(as_capture(tmp_path, frames))


def io_text(path: Path, interval: str) -> str:
    statistics = IoStatistics(round(float(interval) * 1e6) * 1000)
    for _ in spanline.open(path).run(statistics):
        pass
    return "".join(f"{line}\n" for line in io_lines(statistics))


# Times of frames in ms; and intervals, among them the whole duration, more than that, and many to a second.
IO_TIMES = {
    "seconds": [0, 1, 999, 1000, 1001, 2500, 7000],
    "out of order": [0, 1500, 900, 3200, 100, 2999, 3000],
    "before the first": [5000, 0, 4000, 6000, 9000],
    "one": [0],
    "minutes": [0, 30_000, 61_000, 599_999],
    "hours": [0, 3_600_000, 40_000_000],
}
INTERVALS = ("0.01", "0.1", "0.25", "0.5", "1", "1.5", "2.5", "7", "10", "60", "599.999", "1000", "3600", "100000")


@pytest.mark.parametrize("name", IO_TIMES)
def test_intervals_of_our_own_equal_tshark(name: str, tmp_path: Path) -> None:
    frames = [Record(START + time * 10**6, ethernet() / ipv4() / udp() / bytes(time % 100)) for time in IO_TIMES[name]]
    path = as_capture(tmp_path, frames)
    intervals = [one for one in INTERVALS if IO_TIMES[name][-1] < 20_000_000 * float(one)]
    ours = [io_text(path, interval) for interval in intervals]
    # tshark prints the last one first.
    assert "".join(reversed(ours)) == tshark.run(path, *(f"io,stat,{interval}" for interval in intervals))


def test_intervals_of_twenty_captures_equal_tshark(captures: Path, oracle: Path) -> None:
    """Drawn from those that last no longer than an hour: tshark has a row in memory for every interval."""
    chance, wrong, compared = random.Random(1), [], 0
    paths = [path for path in tshark.manifest(captures) if path not in OTHER_FRAMES | OTHER_LINES]
    for path in chance.sample(paths, len(paths)):
        frames = tshark.frames(oracle, path)
        times = [float(frame["frame.time_epoch"]) for frame in frames if frame["frame.time_epoch"]]
        if len(frames) < 10 or not 0 < (lasts := max(times, default=0) - min(times, default=0)) < 3600:
            continue
        interval = chance.choice([one for one in INTERVALS if lasts / float(one) < 5000])
        if io_text(captures / path, interval) != tshark.run(captures / path, f"io,stat,{interval}"):
            wrong.append((path, interval))
        compared += 1
        if compared == 20:
            break
    assert wrong == []
    assert compared == 20
