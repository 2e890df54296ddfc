"""Application protocols: a message of each, whole and in pieces, alone and among others, as Wireshark calls it."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from spanline import _applications
from spanline.protocols import applications
from spanline.protocols.compiling import NAMES, compile_set
from spanline.protocols.language import Application, Inside, be16, starts, u8
from spanline.protocols.tables import application_set
from tests.craft import Frame, ethernet, icmp, ipv4, udp
from tests.craft_files import Record, pcap
from tests.craft_messages import (
    CLIENT,
    MESSAGES,
    NFS,
    SERVER,
    SIP,
    SMB1,
    STUN,
    TCP,
    UDP,
    Message,
    in_stream,
    nbss,
    packet,
    quic_long,
    smb2,
    tpkt,
)
from tests.rows import decode_all
from tests.tshark import DECODED

STREAM = np.dtype(
    [("stream", "u4"), ("slot", "u4"), ("analysis", "u2"), ("direction", "u1"), ("begins", "u1"), ("reserved", "u4")]
)


def stacks(
    frames: Iterable[Frame | bytes | Record], protocols: Sequence[Application] | None = None, *, alone: bool = False
) -> list[str]:
    """What each frame has behind its last header. Frames between two ends are one stream, unless each is alone."""
    batch = decode_all(frames)
    rows = np.zeros(len(batch.packets), STREAM)
    seen: dict[frozenset[tuple[bytes, int]], tuple[int, tuple[bytes, int]]] = {}
    for number, (row, packet_row) in enumerate(zip(rows, batch.packets, strict=True)):
        ends = [(packet_row[side].tobytes(), int(packet_row[f"{side}_port"])) for side in ("source", "destination")]
        key = frozenset((*ends, (b"protocol", int(packet_row["ip_protocol"])), (b"frame", number if alone else 0)))
        row["begins"] = key not in seen
        stream, first = seen.setdefault(key, (len(seen), ends[0]))
        row["stream"] = row["slot"] = stream
        row["direction"] = ends[0] != first
    found = _applications.Applications(application_set() if protocols is None else compile_set(protocols), 1 << 20)
    found.update(
        batch.packets.view(np.uint8), rows.view(np.uint8), len(seen), batch.buffers, batch.paths.last_protocols(), False
    )
    return [":".join(found[int(number)]) for number in batch.packets["application"]]


# Protocols that say how long a message is; and those that content alone tells.
SAY_LENGTH = frozenset(
    {"ldap", "nbss:smb", "nbss:smb2", "mqtt", "mbtcp:modbus", "bgp", "pgsql", "rpc:portmap", "rtsp", "tpkt:cotp:rdp"}
)
FRAMED = [message for message in TCP if message.stack in SAY_LENGTH]
TOLD_BY_CONTENT = frozenset(
    ["vnc", "bittorrent", "sip", "dcerpc", "stun", "quic", "gquic", "bt-dht", "wg", "classicstun", "dns"]
)


def name_of(message: Message) -> str:
    return f"{message.stack}-{message.transport}-{message.port}"


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_a_message_of_each(message: Message) -> None:
    """Oracle: tests.craft_messages, by the specification named there; and tshark, in the next test."""
    assert stacks(message.frames()) == [message.stack]


def hierarchy(capture: Path) -> Counter[tuple[str, ...]]:
    """Frames by what tshark shows behind the last header that spanline decodes."""
    answer = subprocess.run(
        ["tshark", "-n", "-q", "-r", capture, "-z", "io,phs"], capture_output=True, text=True, check=True
    )
    path: list[str] = []
    counts: Counter[tuple[str, ...]] = Counter()
    for line in answer.stdout.splitlines():
        if row := re.match(r"( *)(\S+) +frames:(\d+) bytes", line):
            path[len(row[1]) // 2 :] = [row[2]]
            if behind := tuple(name for name in path if name not in DECODED):
                counts[behind] += int(row[3])
    return counts


def test_tshark_names_them_alike(tmp_path: Path) -> None:
    """Oracle: tshark's protocol hierarchy, live, of the same messages in one file."""
    capture = tmp_path / "messages.pcap"
    capture.write_bytes(pcap([frame for message in MESSAGES for frame in message.frames()]))
    ours: Counter[tuple[str, ...]] = Counter()
    for message in MESSAGES:
        names = message.stack.split(":")
        ours.update(tuple(names[: n + 1]) for n in range(len(names)))
    names = set(application_set().names)
    assert {path: count for path, count in hierarchy(capture).items() if names.issuperset(path)} == ours


@pytest.mark.parametrize("message", FRAMED, ids=name_of)
def test_split_over_segments(message: Message) -> None:
    """A message cut anywhere is shown once, in the frame that completes it. Oracle: by hand."""
    frames: list[Frame] = []
    for at in range(8, len(message.octets)):
        parts = message.octets[:at], message.octets[at:]
        frames.append(packet("tcp", parts[0], port=message.port, client_port=20000 + at))
        frames.append(packet("tcp", parts[1], port=message.port, client_port=20000 + at, seq=1 + at))
    shown = stacks(frames)
    assert set(shown[0::2]) == {""}
    assert set(shown[1::2]) == {f"{message.stack}:tcp.segments"}


@pytest.mark.parametrize("message", FRAMED, ids=name_of)
def test_two_in_one_segment(message: Message) -> None:
    """Oracle: by hand."""
    frame = packet("tcp", message.octets * 2, port=message.port)
    assert stacks([frame]) == [f"{message.stack}:{message.stack}"]


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_cut_at_every_length(message: Message) -> None:
    """Of what was captured of a message nothing is shown that the whole one has not. Oracle: by hand."""
    [frame] = message.frames()
    whole = bytes(frame)
    names = set(message.stack.split(":")) | {"", "data", "_ws.short"}
    shown = stacks([Record(0, whole[:length], len(whole)) for length in range(14, len(whole))], alone=True)
    assert {name for stack in shown for name in stack.split(":")} <= names


@pytest.mark.parametrize("message", TCP + UDP, ids=name_of)
def test_wrong_port(message: Message) -> None:
    """On a port that nobody has, the content tells, or it is data. Oracle: Wireshark's list of heuristic dissectors."""
    told = {"llmnr": "dns", "rpc:nfs": "rpc:nfs", "rpc:portmap": "rpc:portmap"}.get(message.stack, "data")
    told = message.stack if message.stack in TOLD_BY_CONTENT else told
    assert stacks([packet(message.transport, message.octets, port=9998, client_port=40999)]) == [told]


def talk(transport: str, port: int, *said: tuple[str, bytes]) -> list[Frame]:
    """What the client (">") and the server ("<") say to one another."""
    frames, sequence = [], {">": 1, "<": 1}
    for way, octets in said:
        frames.append(packet(transport, octets, port=port, seq=sequence[way], back=way == "<"))
        sequence[way] += len(octets)
    return frames


QUOTED = bytes(ipv4(CLIENT, SERVER) / udp(40000, 3478) / STUN)
RECORD = b"\x16\3\1\0\4abcd"  # a record of TLS
SDP = b"v=0\r\nc=IN IP4 10.0.0.2\r\nm=audio 20000 RTP/AVP 0\r\n"
INVITE = SIP.replace(b"OPTIONS", b"INVITE").replace(b"Length: 0\r\n\r\n", b"Length: 52\r\n\r\n") + SDP
RTP = b"\x80\0\0\1" + bytes(168)
REPORT = b"\x80\xc9\0\1\0\0\0\1" + b"\x81\xca\0\1\0\0\0\1"
SETUP = b"RTSP/1.0 200 OK\r\nTransport: RTP/AVP;client_port=7000-7001;server_port=20000-20001\r\n\r\n"
REPLY = NFS[:4] + b"\0\0\0\1" + bytes(16)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (talk("udp", 5060, (">", INVITE)) + talk("udp", 20000, (">", RTP)), ["sip", "rtp"]),
        (talk("udp", 5060, (">", INVITE)) + talk("udp", 20001, ("<", REPORT)), ["sip", "rtcp:rtcp"]),
        (talk("udp", 20000, (">", RTP)), ["data"]),
        (
            talk("tcp", 554, ("<", SETUP))
            + talk("udp", 20000, ("<", RTP)),
            ["rtsp", "rtp"],
        ),
        (
            talk("tcp", 21, ("<", b"227 Entering Passive Mode (10,0,0,2,200,1).\r\n"))
            + talk("tcp", 51201, ("<", b"the file")),
            ["ftp", "ftp-data"],
        ),
        (
            talk("tcp", 21, ("<", b"229 Entering Extended Passive Mode (|||51202|)\r\n"))
            + talk("tcp", 51202, ("<", b"the file")),
            ["ftp", "ftp-data"],
        ),
        (
            talk("tcp", 21, (">", b"PORT 10,0,0,2,200,3\r\n")) + talk("tcp", 51203, ("<", b"the file")),
            ["ftp", "ftp-data"],
        ),
        (
            talk("tcp", 21, (">", b"EPRT |1|10.0.0.2|51204|\r\n")) + talk("tcp", 51204, ("<", b"the file")),
            ["ftp", "ftp-data"],
        ),
        (talk("udp", 69, (">", b"\0\1a\0octet\0")) + talk("udp", 33000, ("<", b"\0\3\0\1abc")), ["tftp", "tftp"]),
        (
            talk("tcp", 25, (">", b"STARTTLS\r\n"), ("<", b"220 2.0.0 Ready to start TLS\r\n"), (">", RECORD)),
            ["smtp", "smtp", "tls"],
        ),
        (
            talk("tcp", 5432, (">", b"\0\0\0\x08\x04\xd2\x16\x2f"), ("<", b"S"), (">", RECORD), ("<", RECORD)),
            ["pgsql", "", "tls", "tls"],
        ),
        (
            talk("tcp", 5432, (">", b"\0\0\0\x08\x04\xd2\x16\x2f"), ("<", b"N"), (">", b"\0\0\0\x08\0\3\0\0")),
            ["pgsql", "", "pgsql"],
        ),
        (talk("udp", 2049, (">", NFS), ("<", REPLY)), ["rpc:nfs", "rpc:nfs"]),
        (talk("udp", 2049, ("<", REPLY)), ["data"]),
        (talk("tcp", 2049, (">", in_stream(NFS)), ("<", in_stream(REPLY) * 2)), ["rpc:nfs", "rpc:nfs:rpc:nfs"]),
        (talk("udp", 443, (">", quic_long(0, 600) + quic_long(2, 600) + b"\x40" + bytes(60))), ["quic:quic:quic"]),
        (talk("tcp", 445, (">", nbss(smb2(0, 104).ljust(104, b"\0") + smb2()))), ["nbss:smb2:smb2"]),
        (talk("tcp", 445, (">", nbss(SMB1) + nbss(smb2()))), ["nbss:smb:nbss:smb2"]),
        (
            talk("tcp", 3389, (">", tpkt(bytes.fromhex("02f080 7f65 00"))), (">", b"\x44\4ab")),
            ["tpkt:cotp:t125:t124:rdp", "rdp"],
        ),
        (talk("tcp", 3389, (">", tpkt(bytes.fromhex("02f080 64 0006 03eb 70 00")))), ["tpkt:cotp:t125:rdp"]),
        (talk("tcp", 102, (">", tpkt(bytes.fromhex("02f080 32 01 0000 0000")))), ["tpkt:cotp:s7comm"]),
        (talk("tcp", 6000, (">", b"\0\x14" + STUN)), ["stun"]),
        (talk("udp", 3478, (">", b"\x40\0\0\4abcd")), ["stun:data"]),
        (
            talk("tcp", 6881, (">", b"\x13BitTorrent protocol" + bytes(48) + b"\0\0\0\1\2" + b"\0\0\0\0")),
            ["bittorrent:bittorrent:bittorrent"],
        ),
        (
            [ethernet() / ipv4(SERVER, CLIENT) / icmp(3, 3, bytes(4)) / QUOTED],
            ["stun"],
        ),
        ([ethernet() / ipv4(SERVER, CLIENT) / icmp(8) / QUOTED], [""]),
    ],
)  # fmt: skip
def test_conversations(frames: list[Frame], expected: list[str]) -> None:
    """Oracle: by hand, from what tshark shows of the like in the shared captures."""
    assert stacks(frames) == expected


def test_announced_ends_are_bounded() -> None:
    """Of more announced ends than there is room for, the last ones are known. Oracle: by hand."""
    media = b"".join(b"m=audio %d RTP/AVP 0\r\n" % port for port in range(1000, 32000, 2000))
    offers = [
        packet("udp", SIP + f"c=IN IP4 10.{n >> 8}.{n & 255}.2\r\n".encode() + media, port=5060) for n in range(1200)
    ]
    last = ethernet() / ipv4(CLIENT, f"10.{1199 >> 8}.{1199 & 255}.2") / udp(40000, 29000) / RTP
    first = ethernet() / ipv4(CLIENT, "10.0.0.2") / udp(40000, 3000) / RTP
    assert stacks([*offers[:1], first]) == ["sip", "rtp"]
    assert stacks([*offers, first, last])[-2:] == ["data", "rtp"]


def test_a_new_protocol_is_one_declaration() -> None:
    """|magic "SPAN"|length 2|…, and another one inside. Oracle: by hand."""
    outer = Application("span", "Span", tcp_ports=(7777,), accept=starts(b"SPAN"), framing="each", length=be16(4) + 6)
    inner = Application("line", "Line", inside=(Inside("span", 6, u8(6) == 1),))
    message = b"SPAN\0\3\1ab"
    frames = talk("tcp", 7777, (">", message[:7]), (">", message[7:] + message), ("<", b"SPAN\0\1\2"), ("<", b"other"))
    expected = ["", "span:line:tcp.segments:span:line", "span", "data"]
    assert stacks(frames, [outer, inner]) == expected
    assert stacks(frames, [*applications(), outer, inner]) == expected


@pytest.mark.parametrize(
    ("protocols", "says"),
    [
        ((Application("a", "A"), Application("a", "A")), "two protocols have one name"),
        ((Application("a", "A", tcp_ports=(1,)), Application("b", "B", tcp_ports=(1,))), "number 1 of the tcp_ports"),
        ((Application("a", "A", inside=(Inside("b", 0, u8(0) == 0),)),), "which is no protocol"),
        ((Application("a", "A", becomes=(("b", u8(0) == 0),)),), "which is no protocol"),
    ],
)
def test_a_wrong_declaration(protocols: tuple[Application, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        compile_set(protocols)


def test_foreign_patterns() -> None:
    """A pattern finds its own protocol's message, and no other's. Oracle: by hand."""
    hyperscan = pytest.importorskip("hyperscan")
    patterns = [(one.name, pattern) for one in applications() for pattern in one.foreign]
    database = hyperscan.Database()
    database.compile(
        expressions=[pattern for _, pattern in patterns],
        ids=list(range(len(patterns))),
        flags=[hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH] * len(patterns),
    )
    found: set[str] = set()
    for message in TCP + UDP:
        found.clear()
        database.scan(message.octets, match_event_handler=lambda number, *_: found.add(patterns[number][0]))
        assert found <= set(message.stack.split(":")), message
        if message.stack in {"ssh", "vnc", "bittorrent", "mqtt", "resp", "bgp", "amqp", "quic", "bt-dht", "pgsql"}:
            assert found == {message.stack}


def test_names() -> None:
    """Every protocol has a title, and a name that tshark knows. Oracle: `tshark -G protocols`."""
    answer = subprocess.run(["tshark", "-G", "protocols"], capture_output=True, text=True, check=True)
    known = {line.split("\t")[2] for line in answer.stdout.splitlines()}
    assert {one.name for one in applications()} <= known
    assert all(one.title for one in applications())
    assert len(application_set().names) == len(NAMES) + len(applications())
