"""Write the inputs that fuzzing starts from: `python -m tests.fuzz.seeds build/fuzz`, below it `<target>/seeds`.

They come from crafted frames and files, a little of the benchmarks' traffic, and the shared captures where those are.
`framing` and `writing` read capture files, `bpf` a program and a frame, `payloads` packets as such, `ring` a block of
frames as the kernel makes it, every other target a list of frames, which input.h draws; `reassembly` also fragments as
such. PYTHONPATH must hold benchmarks.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import struct
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from traffic import generate

from tests.craft import (
    Frame,
    arp,
    authentication,
    ethernet,
    extension,
    fddi,
    fragments,
    icmp,
    icmpv6,
    ipv4,
    ipv6,
    ipv6_fragment,
    llc,
    null,
    option,
    raw,
    sctp,
    sctp_chunk,
    sll,
    sll2,
    snap,
    tcp,
    token_ring,
    udp,
    vlan,
)
from tests.craft_files import START, Pcapng, Record, pcap, pcap_header, records
from tests.craft_fragments import piece, pieces
from tests.craft_messages import MESSAGES
from tests.craft_messages import packet as message_packet
from tests.craft_tunnels import erspan2, erspan3, geneve, geneve_option, gre, gtp_u, mpls, pppoe, vxlan

FOLDER = Path(__file__).resolve().parent
TARGETS = sorted({path.stem for path in FOLDER.glob("*.c")} - {"replay"})
FILE_TARGETS = {"framing", "writing"}
MESSAGE_TARGETS = {"applications", "flows"}
LARGEST = 4096
"""Bytes of an input: the targets are slower with more, and find no more."""
SUFFIXES = {".pcap", ".pcapng", ".cap"}

_LIST = re.search(r"link_types\[\] = \{([\d, ]+)\}", (FOLDER / "input.h").read_text())
assert _LIST is not None
LINK_TYPES = tuple(int(number) for number in _LIST[1].split(","))

STEERINGS = (bytes(8), bytes([1, 0, 1, 1, 2, 3, 5, 8]), bytes([255, 1, 0, 3, 129, 60, 7, 200]))
# Of tally.c: each kind of ends, with little room.
TALLY_STEERINGS = tuple(bytes([3, 5, 2, 0, 9, 5, 3, kind]) for kind in range(5))
# Of reassembly.c: frames in one batch and in several, in large and small tables; fragments in all sizes of table.
FRAME_STEERINGS = (bytes([0, 0, 0, 1, 0, 1, 0, 0]), bytes([6, 31, 8, 3, 0, 2, 2, 1]), bytes([60, 20, 5, 0, 0, 0, 1, 3]))
DIRECT_STEERINGS = (
    bytes([1, 31, 0, 0, 0, 3, 0, 0]),
    bytes([57, 4, 5, 0, 2, 0, 0, 0]),
    bytes([7, 255, 0, 0, 9, 9, 0, 0]),
)
# Of ring.c: Ethernet and not, long and short snaplens, much and little room.
RING_STEERINGS = (
    bytes([1, 255, 255, 255, 0, 0, 0, 0]),
    bytes([0, 90, 0, 9, 0, 0, 0, 0]),
    bytes([1, 13, 0, 2, 0, 0, 0, 0]),
)
# Of payloads.c: all claimed or none, one packet at a time and many, in little memory, from a sender that lies.
PAYLOAD_STEERINGS = (
    bytes([0, 0, 0, 0, 100, 255, 60, 0]),
    bytes([0, 2, 0, 1, 40, 2, 20, 0]),
    bytes([3, 5, 15, 2, 9, 255, 127, 5]),
    bytes([31, 1, 0, 3, 255, 85, 30, 2]),
)
ROUTING = b"\x06\x30\0\x11\0\x20"  # through one bridge
OPTIONS = option(2, b"\5\xb4") + option(4) + option(8, bytes(8)) + b"\1" + option(3, b"\7")
PACKETS = {
    "tcp": ipv4() / tcp(options=OPTIONS) / b"GET / HTTP/1.1\r\n",
    "udp6": ipv6() / udp(53, 53) / bytes(20),
    "chain": ipv6() / extension(0) / extension(60, bytes(30)) / ipv6_fragment() / authentication() / udp() / b"..",
    "routed": ipv6() / extension(43, b"\0\1" + bytes(20)) / tcp(),
    "icmp": ipv4() / icmp() / bytes(32),
    "quoted": ipv4() / icmp(11, 0) / ipv4() / udp() / bytes(8),
    "quoted6": ipv6() / icmpv6(1, 0) / ipv6() / extension(60) / tcp(options=OPTIONS),
    "sctp": ipv4(options=b"\1" * 8) / sctp() / sctp_chunk(1),
    "vxlan": ipv4() / udp(50000, 4789) / vxlan(7) / ethernet() / vlan(5) / ipv6() / tcp() / b"inner",
    "gre": ipv4() / gre(key=1, sequence=2, with_checksum=True) / ethernet() / vlan(4) / ipv4() / udp(),
    "ip-in-ip": ipv4() / ipv6() / ipv4(options=b"\1" * 40) / tcp(options=b"\1" * 40),
    "erspan1": ipv4() / gre(protocol=0x88BE) / ethernet() / ipv4() / tcp(),
    "erspan": ipv4() / gre(sequence=1) / erspan2(3, truncated=True) / ethernet() / ipv4() / tcp(),
    "erspan3": ipv6() / gre(sequence=1, key=7) / erspan3(3, platform=bytes(8)) / ethernet() / vlan(6) / ipv4() / tcp(),
    "erspan3-ip": ipv4() / gre(sequence=1) / erspan3(3, frame_type=2) / ipv6() / udp(),
    "geneve": ipv4() / udp(50000, 6081) / geneve(9) / ethernet() / ipv4() / udp(),
    "geneve-options": ipv6()
    / udp(50000, 6081)
    / geneve(9, options=geneve_option(1, bytes(8)) + geneve_option(0x82) * 3, flags=0xC0)
    / ipv4()
    / tcp(),
    "many-tunnels": ipv4()
    / udp(50000, 4789)
    / vxlan(7)
    / ethernet()
    / ipv6()
    / udp(1, 6081)
    / geneve(8, options=geneve_option(1))
    / ethernet()
    / ipv4()
    / gre(sequence=2)
    / erspan2(4)
    / ethernet()
    / ipv4()
    / udp(),
    "gtp-u": ipv4() / udp(2152, 2152) / gtp_u(5) / ipv4() / tcp(),
    "deep": Frame(*(ipv4().layers * 10)) / udp(),
}


def handshake() -> list[Record]:
    """A connection from SYN to FIN, with retransmissions, and the next one between the same ends."""
    there, back = ipv4("10.0.0.1", "10.0.0.2"), ipv4("10.0.0.2", "10.0.0.1")
    stamps = [option(8, struct.pack("!II", n, n and n + 50)) + b"\1\1" for n in range(3)]
    packets = [
        there / tcp(50123, 443, seq=7, flags="S", options=stamps[1]),
        there / tcp(50123, 443, seq=7, flags="S", options=stamps[2]),
        back / tcp(443, 50123, seq=70, ack=8, flags="SA", options=option(8, struct.pack("!II", 9, 2)) + b"\1\1"),
        there / tcp(50123, 443, seq=8, ack=71),
        there / tcp(50123, 443, seq=8, ack=71, flags="PA") / b"question",
        there / tcp(50123, 443, seq=8, ack=71, flags="PA") / b"question",
        back / tcp(443, 50123, seq=80, ack=16, flags="A", window=0) / b"after a hole",
        there / tcp(50123, 443, seq=16, ack=92, flags="FA"),
        back / tcp(443, 50123, seq=92, ack=17, flags="FA"),
        there / tcp(50123, 443, seq=5000, flags="S"),
        back / tcp(443, 50123, seq=0, ack=5001, flags="RA"),
    ]
    return records(ethernet() / packet for packet in packets)


def many_letters() -> list[Record]:
    """One connection with more to tell than its history has room for: every RST has a sequence number of its own."""
    packet = ipv4("10.0.0.1", "10.0.0.2")
    return records(ethernet() / packet / tcp(50123, 443, seq=n, flags="R") for n in range(50))


def nested() -> list[Record]:
    """Tunnels in tunnels: one, the most, two, the most, …"""
    depths = (count for most in range(1, 9) for count in (most, 8))
    return records(ethernet() / Frame(*(ipv4().layers * (depth + 1))) / udp() for depth in depths)


def links() -> Iterator[tuple[int, Frame]]:
    """(link type, a frame of it)"""
    inside = ipv4() / tcp()
    on_ethernet = arp(), llc() / b"..", snap() / inside, vlan(1) / vlan(2) / inside, vlan(1, tpid=0x88A8) / inside
    yield from ((1, ethernet() / frame) for frame in (*on_ethernet, mpls(3) / inside, pppoe() / inside))
    yield from ((number, inside) for number in (12, 14, 101, 228))
    yield from [(229, ipv6() / udp()), (113, sll() / inside), (276, sll2() / inside), (147, inside)]
    yield from [(0, null() / inside), (108, null(order=">") / inside), (10, fddi() / snap() / inside)]
    yield from ((6, token_ring(routing=routing) / snap() / inside) for routing in (b"", ROUTING))


def frame_list(frames: Iterable[tuple[int, Record]], missing: int = 0) -> bytes:
    """An input of the targets that read frames: (link type, frame with its time) → see take_frames() in input.h."""
    found, before = b"", START
    for link_type, record in frames:
        data = bytes(record.frame)[:1500]
        step = max(-(2**31), min((record.time - before) // 1000, 2**31 - 1))
        found += struct.pack("<BBHi", LINK_TYPES.index(link_type), missing, len(data), step) + data
        before = record.time
    return found[: LARGEST - 8]


def pcap_records(data: bytes) -> list[Record]:
    """The records of a little-endian pcap file with nanoseconds, as benchmarks/traffic.py writes them."""
    found, at = [], 24
    while at < len(data):
        seconds, fraction, captured, wire = struct.unpack_from("<IIII", data, at)
        found.append(Record(seconds * 10**9 + fraction, data[at + 16 : at + 16 + captured], wire))
        at += 16 + captured
    return found


def traffic() -> Iterator[bytes]:
    """Small captures of each kind of synthetic traffic."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traffic.pcap"
        for kind, transport in (("mix", "udp"), ("small", "udp"), ("small", "tcp"), ("vxlan", "udp")):
            for seed in range(3):
                generate(kind, path, packets=40, flows=4, seed=seed, seconds=20.0, transport=transport)
                yield path.read_bytes()


def crafted_lists() -> Iterator[bytes]:
    """Lists of frames: each packet alone and cut short, all of them, every link type, a connection, fragments."""
    for packet in PACKETS.values():
        record = Record(START, ethernet() / packet)
        yield frame_list([(1, record)])
        yield frame_list([(1, Record(START, bytes(record.frame)[:-9]))], missing=4)
    yield frame_list((1, record) for record in records(ethernet() / packet for packet in PACKETS.values()))
    yield frame_list((link_type, Record(START, frame)) for link_type, frame in links())
    for connection in (handshake(), many_letters(), nested()):
        yield frame_list((1, record) for record in connection)
    pieces = fragments(ipv4() / udp() / bytes(90), 32) + fragments(ipv6() / tcp() / bytes(90), 32)
    yield frame_list((1, record) for record in records(ethernet() / piece for piece in pieces))


def fragmented_lists() -> Iterator[bytes]:
    """Lists of frames: datagrams in order, backwards, mixed, inside one another, overlapping, without end."""
    inner = ipv4("10.9.0.1", "10.9.0.2") / udp(5, 4789) / vxlan(7) / ethernet() / PACKETS["routed"]
    packets = [ipv4() / udp(7, 8) / bytes(range(100)), ipv6() / udp(7, 8) / bytes(range(100)), inner]
    packets += [PACKETS[name] for name in ("tcp", "chain", "gre", "ip-in-ip", "sctp", "erspan", "deep")]
    for packet in packets:
        parts = pieces(packet, 24)
        for order in (parts, parts[::-1], parts[1::2] + parts[::2], parts[:1] + parts, parts[:-1]):
            yield frame_list((1, record) for record in records(ethernet() / part for part in order))
    for around in (ipv4(), ipv6(), ipv4() / gre(key=3)):
        parts = [part for n, one in enumerate(pieces(inner, 64)) for part in pieces(around / one, 40, identification=n)]
        yield frame_list((1, record) for record in records(ethernet() / part for part in parts))
    first, last = pieces(ipv4() / udp() / bytes(24), 16)
    begun = [first]
    for number in range(6):  # in the last of each is the last of the one before: more than one frame may complete
        outer = ipv4() / last
        begun.append(piece(outer, 0, 8, identification=number))
        last = piece(outer, 8, identification=number)
    yield frame_list((1, record) for record in records(ethernet() / part for part in (*begun, last)))
    other = ipv4(protocol=253) / bytes(64)
    for parts in (
        [piece(other, 0, 24), piece(other, 16, data=b"b" * 48, more=False)],
        [piece(other, 0, 13), piece(other, 16, 24, more=False), piece(other, 8, 16)],
        [piece(other, 0, 32), piece(other, 65528, data=b"d" * 8, more=True), piece(other, 32)],
        [piece(other, 8, 16, identification=n) for n in range(12)] + [piece(other, 0, 8), piece(other, 16)],
    ):
        yield frame_list((1, record) for record in records(ethernet() / part for part in parts))
        late = [Record(START + n * 59 * 10**9, ethernet() / part) for n, part in enumerate(parts)]
        yield frame_list((1, record) for record in late)


def fragments_as_such() -> Iterator[bytes]:
    """|key 1|offset 1|length 1|flags 1|step 4| each, as reassembly.c has it."""
    for length in (1, 3, 61, 62, 124):  # in 8 bytes: blocks begin, are full, and one is not enough
        parts = [(0, at * length, length - 1, int(at < 3), 1) for at in range(4) if at * length < 224]
        yield b"".join(struct.pack("<BBBBi", *part) for part in parts)
        yield b"".join(struct.pack("<BBBBi", *part) for part in parts[::-1] * 2)
        mixed = [(key, *part[1:3], part[3] | key << 3, -5) for part in parts for key in range(6)]
        yield b"".join(struct.pack("<BBBBi", *part) for part in mixed)
    for parts in (
        [(0, 0, 255, 1, 1), (0, 255, 255, 0, 1), (0, 254, 192, 0, 1)],
        [(n % 8, 1, 0, 1, 10**6) for n in range(40)] + [(7, 0, 0, 1, 1), (7, 2, 0, 0, 1)],
        [(1, 0, 0, 1, 1), (1, 1, 0, 128, 1), (1, 0, 0, 129, -1), (1, 1, 3, 0, 0)],
        [(2, at, 136, 1, 1) for at in range(20)] + [(2, 20, 130, 0, 1), (2, 19, 0, 1, 1)],
    ):
        yield b"".join(struct.pack("<BBBBi", *part) for part in parts)


def crafted_files() -> Iterator[bytes]:
    """Capture files of both formats and byte orders, with every block, clock and oddity that is read."""
    frames = [bytes(ethernet() / packet) for packet in PACKETS.values()]
    for big_endian in (False, True):
        order = Pcapng(big_endian=big_endian)
        for nanoseconds in (False, True):
            yield pcap(frames[:6], nanoseconds=nanoseconds, big_endian=big_endian)
        blocks = [order.section(comment="c" * 9), order.interface(snaplen=40, tsresol=6)]
        blocks += [order.interface(101, tsresol=0x8A)]
        blocks += [order.enhanced(frames[0], comment="text"), order.simple(frames[1]), order.obsolete(frames[2])]
        blocks += [order.names([(bytes(4), "host")]), order.secrets(b"key"), order.custom(b"....")]
        blocks += [order.statistics(received=5, dropped=1), order.enhanced(frames[3], 5, interface=7)]
        blocks += [order.section(), order.interface(tsoffset=-3600, tsresol=19), order.enhanced(frames[4], 2**63)]
        yield b"".join(blocks)
        yield b"".join(blocks + [order.block(6, b"too short")])
        yield b"".join(blocks[:3] + [order.block(9, bytes(40), trailing_length=9), order.enhanced(frames[0])])
        yield b"".join(blocks[:2] + [order.block(6, bytes(40), trailing_length=9)])
    yield pcap_header() + struct.pack("<IIII", 0, 0, 262145, 0)


FILTERS = (
    "tcp port 80", "host 10.0.0.1 or net 2001:db8::/32", "vlan 5 and ip6 and udp", "ip6 protochain 17", "len > 60",
    "ip[2:2] - ((ip[0] & 0xf) << 2) > 20 and ip[8] / ip[1] % 7 = 1", "tcp[tcp[12] >> 2] | 0x20 = 0x67 ^ ip[9]",
)  # fmt: skip


def programs() -> Iterator[bytes]:
    """Programs that libpcap compiles, each before a frame."""
    import pcapy

    for n, packet in enumerate(PACKETS.values()):
        code = pcapy.compile(1, 65535, FILTERS[n % len(FILTERS)], n % 2, 0).get_bpf()
        yield bytes([len(code)]) + b"".join(struct.pack("=HBBI", *one) for one in code) + bytes(ethernet() / packet)


def ring_blocks() -> Iterator[bytes]:
    """Blocks of a TPACKET_V3 ring (ring_block.h): frames with and without tags, in number and place as told or not."""
    frames = [bytes(ethernet() / packet) for packet in PACKETS.values()][:4]
    tags = [(0, 0, 0), (0x10, 7, 0), (0x50, 0x2007, 0x88A8), (0x50, 5, 0x8100)]
    for room, wrong in ((100, 0), (48, 0), (52, 0), (100, 1), (100, -9)):
        body = b""
        for n, (frame, (status, tag, protocol)) in enumerate(zip(frames, tags, strict=True)):
            size = room + len(frame) + -(room + len(frame)) % 16
            header = struct.pack("<6I2H", size + wrong, n, n, len(frame), len(frame), status | 1, room, room)
            header += struct.pack("<IIH", 0, tag, protocol)
            body += (header.ljust(room, b"\0") + frame).ljust(size, b"\0")
        for count, first in ((len(frames), 48), (99, 48), (2, 47), (1, 1 << 31)):
            yield (struct.pack("<6I", 1, 48, 1, count, first, 48 + len(body)).ljust(48, b"\0") + body)[: LARGEST - 8]


def shared_captures(folder: Path) -> Iterator[bytes]:
    """The beginnings of the shared captures that are not compressed."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in SUFFIXES:
            with path.open("rb") as file:
                yield file.read(LARGEST - 8)


def shared_lists(folder: Path, *, fragments_only: bool = False) -> Iterator[bytes]:
    """The first frames of the shared captures, of the link types that are known; of fragments, the first of those."""
    import spanline  # only here: the seeds of our own need no built core

    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix not in SUFFIXES:
            continue
        capture = spanline.open(path)
        try:
            batch = next(iter(capture))
        except (spanline.SpanlineError, StopIteration):
            continue
        found = []
        packets = batch.packets
        if fragments_only:
            packets = packets[(packets["fragment_offset"] != 0) | (packets["flags"] & 1 != 0)]
        for row in packets[:30]:
            interface, at = int(row["interface"]), int(row["frame_offset"])
            link_type = capture.interfaces[interface].link_type if interface < len(capture.interfaces) else -1
            if link_type in LINK_TYPES:
                frame = batch.buffers[0][at : at + int(row["captured_length"])].tobytes()
                found.append((link_type, Record(int(row["timestamp"]), frame)))
        if found:
            yield frame_list(found)


def message_lists() -> Iterator[bytes]:
    """Lists of frames: a message of each application protocol, and those of TCP in two and in many segments."""
    for message in MESSAGES:
        yield frame_list((1, record) for record in records(message.frames()))
        if message.transport == "tcp":
            for most in (len(message.octets) // 2 + 1, 11):
                segment = partial(message_packet, "tcp", port=message.port, client_port=message.client_port)
                parts = [
                    segment(message.octets[at : at + most], seq=1 + at) for at in range(0, len(message.octets), most)
                ]
                last = segment(b"", seq=1 + len(message.octets), flags="FA")
                yield frame_list((1, record) for record in records([*parts, last]))


HTTP_RESPONSE = b"HTTP/1.1 200 OK\r\n"
HTTP_CHUNKED = HTTP_RESPONSE + b"Transfer-Encoding: chunked\r\n\r\n"
SDP = b"v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 40000 RTP/AVP 0\r\na=rtcp:40001\r\n"
SDP += b"m=video 5000 RTP/AVP 9\r\nc=IN IP6 fe80::1\r\n"
CONVERSATIONS = (  # port, what is said by (whether it comes from the server, bytes)
    (80, ((1, HTTP_RESPONSE + b"Content-Length: 900\r\n"), (1, b"\r\n" + b"a" * 300), (1, b"b" * 600))),
    (80, ((1, HTTP_CHUNKED + b"9\r\n"), (1, b"123456789\r\n"), (1, b"0\r\n\r\n"))),
    (80, ((0, b"GET / HTTP/1.0\r\n\r\n"), (1, HTTP_RESPONSE + b"\r\n"), (1, b"until the end" * 50))),
    (80, ((0, b"CONNECT a:443 HTTP/1.1\r\n\r\n"), (1, HTTP_RESPONSE + b"\r\n"), (0, b"\x16\3\1\0\5\1\0\0\1\0"))),
    (80, ((1, HTTP_CHUNKED + b"3;x\r\nabc\r\n0\r\nA: b\r\n\r\n"), (0, b"HEAD / HTTP/1.1\r\n\r\n"))),
    (21, ((0, b"PORT 10,0,0,1,4,5\r\n"), (1, b"227 Passive (10,0,0,2,4,5)\r\n"), (0, b"EPRT |2|fe80::1|1029|\r\n"))),
    (21, ((1, b"229 Extended (|||1029|)\r\n"),)),
    (554, ((1, b"RTSP/1.0 200 OK\r\nTransport: RTP/AVP;client_port=8000-8001;server_port=9000-9001\r\n\r\n"),)),
    (554, ((1, b"RTSP/1.0 200 OK\r\nContent-Type: application/sdp\r\nContent-Length: 150\r\n\r\n" + SDP),)),
)  # fmt: skip


def conversation_lists() -> Iterator[bytes]:
    """Lists of frames: bodies of every kind in several segments, what is announced, a tunnel; each ends with a FIN."""
    for port, said in CONVERSATIONS:
        frames, seq = [], [1, 1]
        for back, octets in (*said, (0, b""), (1, b"")):
            flags = "PA" if octets else "FA"
            frames.append(message_packet("tcp", octets, port=port, seq=seq[back], back=bool(back), flags=flags))
            seq[back] += len(octets)
        yield frame_list((1, record) for record in records(frames))
    sip = b"INVITE sip:a@b SIP/2.0\r\nContent-Type: application/sdp\r\n\r\n" + SDP
    rtp = message_packet("udp", b"\x80\0\0\1" + bytes(20), port=40000, client_port=40000, back=True)
    yield frame_list((1, record) for record in records([message_packet("udp", sip, port=5060), rtp]))


def own_tables() -> Iterator[bytes]:
    """Before messages, a frame that is taken for programs, and one that is taken for protocols (applications.c)."""
    for n in range(12):
        programs = bytes(octet * (n + 3) % 251 for octet in range(16 + 40 * n))
        protocols = bytes(octet * (n + 5) % 241 for octet in range(1, 200 + 30 * n))
        frames = [Record(START, raw(part)) for part in (programs, protocols)]
        yield frame_list([(1, record) for record in frames + records(MESSAGES[n * 5].frames() * 3)])
    read_eight_octets = bytes([1, 0, 0, 0, 6, 8, 0, 0, 0, 0, 0, 0])
    frames = [Record(START, raw(read_eight_octets)), Record(START, raw(bytes(200)))]
    yield frame_list([(1, record) for record in frames + records([message_packet("tcp", b"\xff" * 40, port=80)])])


def payload_packets() -> Iterator[bytes]:
    """|ends 1|flags 1|length 1|step 1|seq 2|ack 2| each, as payloads.c has it: connections and datagrams."""
    back, datagram, cut = 1, 16, 32
    ack, syn, syn_ack, fin, rst = 0, 2, 3, 4, 5
    opened = [(0, syn, 0, 1, -1, 0), (back, syn_ack, 0, 1, -1, 0), (0, ack, 0, 1, 0, 0)]
    said = [(way, ack, 40, 1, at, 40 * way) for at in range(0, 240, 40) for way in (0, back)]
    ended = [(0, fin, 0, 1, 240, 240), (back, fin, 0, 1, 240, 241)]
    again = [(0, syn, 0, 1, 4999, 0), (0, ack, 9, 50, 5000, 0), (back, rst, 0, 1, 240, 5009)]
    connections = [
        opened + said + ended + again,
        opened + said[::-1] + ended,
        [packet for part in zip(said[::2], said[1::2][::-1], strict=True) for packet in part] + again,
        opened + said[:4] + said[6:] + [(back, ack, 0, 9, 240, at) for at in (80, 240, 240)] + ended,
        opened + [(0, ack, length, 1, at, 0) for at, length in ((60, 40), (10, 20), (5, 200), (0, 9), (90, 90))],
        said[2:] + [(cut, ack, 100, 1, 230, 240), (0, ack, 10, 70, 330, 240)] + ended,
        [(datagram | way, ack, 30, 40, 0, 0) for way in (0, back) * 6],
        [(2 * n % 8, ack, 200, 30, 0, 0) for n in range(8)] + said,
    ]
    for packets in connections:
        yield b"".join(struct.pack("<BBBbhh", *packet) for packet in packets)


def own(target: str) -> list[bytes]:
    """The inputs that need nothing but this repository."""
    if target == "reassembly":
        frames = [body + steering for body in fragmented_lists() for steering in FRAME_STEERINGS]
        return frames + [body + steering for body in fragments_as_such() for steering in DIRECT_STEERINGS]
    if target == "payloads":
        return [body + steering for body in payload_packets() for steering in PAYLOAD_STEERINGS]
    if target == "ring":
        return [body + steering for body in ring_blocks() for steering in RING_STEERINGS]
    if target == "bpf":
        return [body + steering for body in programs() for steering in STEERINGS]
    if target in FILE_TARGETS:
        bodies = [*crafted_files(), *(data[: LARGEST - 8] for data in traffic())]
    else:
        bodies = [*crafted_lists(), *(frame_list((1, record) for record in pcap_records(data)) for data in traffic())]
    if target in MESSAGE_TARGETS:
        bodies += [*message_lists(), *conversation_lists()]
    found = [body + steering for body in bodies for steering in (TALLY_STEERINGS if target == "tally" else STEERINGS)]
    if target == "applications":
        found += [body + bytes([1, *steering[1:]]) for body in own_tables() for steering in STEERINGS]
        found += [body + bytes([2, 0, 1, n % 256, 8, n * 3 % 256, 7, n % 5]) for n, body in enumerate(message_lists())]
    return found


def write(folder: Path, inputs: Iterable[bytes]) -> int:
    """One file for each, named by its content."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for data in inputs:
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the inputs that fuzzing starts from.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--targets", nargs="*", default=TARGETS)
    parser.add_argument("--captures", type=Path, help="a folder of captures to take beginnings of")
    arguments = parser.parse_args()
    shared: Path | None = arguments.captures if arguments.captures and arguments.captures.is_dir() else None
    for target in arguments.targets:
        inputs = own(target)
        if shared and target not in {"bpf", "payloads", "ring"}:
            joined = target == "reassembly"
            files = target in FILE_TARGETS
            bodies = shared_captures(shared) if files else shared_lists(shared, fragments_only=joined)
            steerings = FRAME_STEERINGS if joined else STEERINGS
            inputs += [body + steerings[n % len(steerings)] for n, body in enumerate(bodies)]
        print(f"{target}: {write(arguments.folder / target / 'seeds', inputs)} seeds")


if __name__ == "__main__":
    main()
