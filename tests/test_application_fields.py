"""Fields of application protocols, in frames of our own: against tshark on the same file, RFC examples, and damage."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spanline import _application_fields
from spanline.fields import find, names, occurrences
from spanline.fields.applications import FIELDS
from spanline.fields.lines import Style, lines
from spanline.fields.model import Octets
from spanline.protocols import applications
from spanline.schema import MESSAGE_DTYPE
from spanline.transforms.annotate import Annotate
from tests.commands import run
from tests.craft import Frame, ethernet, icmp, ipv4, tcp, udp
from tests.craft_fields import (
    MESSAGES,
    client_hello,
    dns,
    dns_name,
    dns_question,
    dns_record,
    handshake,
    over_tcp,
    tls_record,
)
from tests.craft_files import pcap, records
from tests.craft_tunnels import vxlan
from tests.rows import decode_all

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
NAMES = ["frame.protocols", *(field.name for field in FIELDS if "." in field.name)]

A, AAAA, GET = b"\1\2\3\4", bytes(range(16)), b"GET /x?a=%20b HTTP/1.1\r\n"
QUESTION = dns_question(dns_name("a"))
BACK = b"\xc0\x0c"  # a pointer to the first question's name


def asked(name: bytes) -> bytes:
    return dns([dns_question(name)])


def answered(*answers: bytes, flags: int = 0x8180) -> bytes:
    return dns([QUESTION], answers, flags=flags)


DNS = {
    "question": asked(dns_name("www.Example.com")),
    "root": asked(b"\0"),
    "controls": asked(b"\7a\1\n\t\\\x7f\0\0"),
    "UTF-8": asked(b"\4a\xc3\xa9b\0"),
    "not UTF-8": asked(b"\4a\xc3\xffb\0"),
    "points at itself": asked(BACK),
    "points at the label before": asked(b"\1a\xc0\x0c"),
    "points ahead": asked(b"\xc0\x12") + b"\1x\0",
    "points into the header": asked(b"\xc0\0"),
    "points behind the end": asked(b"\xc3\xff"),
    "too long": asked((b"\x3f" + b"x" * 63) * 20 + b"\0"),
    "reserved label": asked(b"\1a\x80"),
    "extended label": asked(b"\1a\x42\0"),
    "no type": asked(b"\1a\0")[:-2],
    "two questions": dns([QUESTION, dns_question(dns_name("b"), 28)]),
    "four bytes": answered()[:4],
    "three bytes": answered()[:3],
    "eight bytes": answered()[:8],
    "A": answered(dns_record(BACK, 1, A), flags=0x8183),
    "AAAA, CNAME, A": answered(*(dns_record(BACK, *one) for one in ((28, AAAA), (5, b"\1z" + BACK), (1, A)))),
    "A of no bytes": answered(dns_record(BACK, 1, b""), dns_record(BACK, 1, A)),
    "A of five bytes": answered(dns_record(BACK, 1, A + b"x"), dns_record(BACK, 1, A)),
    "A cut off": answered(dns_record(BACK, 1, A[:3])),
    "update": answered(dns_record(dns_name("z"), 1, A), flags=0x2800),
}
HTTP = {
    "request": GET + b"Host: a.b  \r\nUser-Agent:\tcurl/7 \t\r\n\r\n",
    "no blanks": GET + b"hOST:x\r\nUSER-AGENT:\r\n\r\n",
    "blank before the colon": GET + b"Host : x\r\n\r\n",
    "LF": GET + b"Host: x\nUser-Agent: y\n\n",
    "CR": GET + b"Host: x\rUser-Agent: y\r\n\r\n",
    "two hosts": GET + b"Host: x\r\nHost: y\r\n\r\n",
    "bytes": b"GET /\xc3\xa9\xff HTTP/1.1\r\nHost: \xc3\xa9\xff\1\r\nUser-Agent: a\0b\r\n\r\n",
    "no version": b"GET /x\r\n\r\n",
    "no URI": b"GET \r\n\r\n",
    "many blanks": b"GET   /x   HTTP/1.0 \r\nHost: q\r\n\r\n",
    "blanks in the URI": b"GET /x y z HTTP/1.1\r\nHost: q\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: q\r\n\r\n",
    "answer": b"HTTP/1.1 200 OK\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "code alone": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "two digits": b"HTTP/1.1 20\r\nContent-Length: 0\r\n\r\n",
    "four digits": b"HTTP/1.1 2000 q\r\nContent-Length: 0\r\n\r\n",
    "no digits": b"HTTP/1.1 abc q\r\nContent-Length: 0\r\n\r\n",
    "blanks before the code": b"HTTP/1.1  404 q\r\nContent-Length: 0\r\n\r\n",
    "body": b"POST /p HTTP/1.1\r\nHost: q\r\nContent-Length: 9\r\n\r\nHost: z\r\n",
    "quotes": GET + b'User-Agent: "a\r\nHost: z"\r\n\r\n',
    "header with a blank": GET + b"garb age: x\r\nHost: z\r\n\r\n",
    "two requests": (GET + b"Host: p1\r\n\r\n") + (GET + b"Host: p2\r\n\r\n"),
}
TELNET = {
    "text": b"abc",
    "CR LF": b"a\r\nb\r\n",
    "CR NUL": b"a\r\0b",
    "CR CR LF": b"a\r\r\nb",
    "CR alone": b"a\rb\r\nc",
    "LF": b"a\nb",
    "CR at the end": b"a\r",
    "CR CR": b"a\r\rxy\0\r\nz",
    "LF CR": b"a\n\rb",
    "option": b"a\xff\xfd\1b",
    "doubled IAC": b"a\xff\xffb",
    "suboption": b"a\xff\xfa\x18\0vt\xff\xf0b\r\n",
    "suboption without end": b"a\xff\xfa\x18\0vtb",
    "doubled IAC in a suboption": b"\xff\xfa\x18\0v\xff\xffx\xff\xf0b",
    "suboption ended otherwise": b"\xff\xfa\x18\0vt\xff\xf1b\xff\xf0c",
    "commands": b"a\xff\xf1b\xff\xf9",
    "NUL": b"a\0b\0\0c",
    "bytes": b"\xc3\xa9\x80b\x1b[1m\x07\x7f",
    "IAC at the end": b"a\xff",
    "option at the end": b"a\xff\xfd",
    "CR and a command": b"a\r\xff\xf1\nb",
}
HELLO = client_hello(b"example.com")
TLS = {
    "hello": tls_record(HELLO),
    "no name": tls_record(client_hello()),
    "two names": tls_record(client_hello(b"one", b"two")),
    "bytes in a name": tls_record(client_hello(b"a\xc3\xa9\1b")),
    "two messages": tls_record(handshake(2, bytes(38)) + handshake(14)),
    "two records": tls_record(handshake(2, bytes(38))) + tls_record(handshake(14)),
    "encrypted": tls_record(handshake(16, bytes(9))) + tls_record(b"\1", kind=20) + tls_record(bytes([0x9A] * 40)),
    "encrypted behind a nonce of zeros": tls_record(b"\1", kind=20) + tls_record(bytes(8) + bytes([0x9A] * 32)),
    "in two records": tls_record(HELLO[:50]) + tls_record(HELLO[50:]),
    "data": tls_record(b"whatever", kind=23),
    "alert": tls_record(b"\2\x28", kind=21),
}


def segments(message: bytes, port: int, client: int, *sizes: int) -> list[Frame]:
    """A message in TCP segments of these sizes, and one with the rest."""
    frames, at = [], 0
    for size in (*sizes, len(message) - sum(sizes)):
        around = ethernet() / ipv4("10.0.0.1", "10.0.0.2") / tcp(client, port, seq=1 + at, flags="PA")
        frames.append(around / message[at : at + size])
        at += size
    return frames


def datagram(message: bytes, port: int, source: int = 40000) -> Frame:
    return ethernet() / ipv4("10.0.0.1", "10.0.0.2") / udp(source, port) / message


def every_frame() -> list[Frame]:
    frames = [datagram(message, 53) for message in DNS.values()]
    frames += [datagram(DNS["AAAA, CNAME, A"], port) for port in (5353, 5355)] + [datagram(b"anything", 9, 9)]
    client = 41000
    for port, messages in (
        (53, {"": over_tcp(DNS["A"]), "two": 2 * over_tcp(DNS["A"])}),
        (80, HTTP),
        (23, TELNET),
        (443, TLS),
    ):
        for message in messages.values():
            frames += segments(message, port, client)
            client += 1
    frames += segments(over_tcp(DNS["A"]), 53, 50001, 1, 20)
    frames += segments(HTTP["request"], 80, 50002, 10, 40)
    frames += segments(tls_record(HELLO), 443, 50003, 4, 60)
    frames += segments(TLS["two records"], 443, 50004, 50)
    frames += segments(b"nobody knows", 9, 50005)
    return frames


def ours(frames: list[Frame], asked_for: list[str] = NAMES) -> list[str]:
    """Lines as -T fields prints them."""
    fields = [field for name in asked_for if (field := find(name))]
    (batch,) = Annotate(messages=True).feed(decode_all(frames))
    return lines(batch, fields, Style()).decode().splitlines()


@needs_tshark
def test_messages_are_read_as_tshark_reads_them(tmp_path: Path) -> None:
    """Oracle: tshark, live, on each message above: alone in a frame, over TCP, in two and in three segments."""
    path = tmp_path / "messages.pcap"
    frames = every_frame()
    path.write_bytes(pcap(records(frames)))
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *(word for name in NAMES for word in ("-e", name))]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert ours(frames) == theirs


TUTORIAL = [
    *("-Y", "ip.src==10.0.1.2 and udp.dstport==4789"),
    *("-T", "fields", "-e", "ip.src", "-e", "ip.dst", "-e", "telnet.data", "-d", "udp.port==4789,vxlan"),
]


def test_a_mirrored_telnet_session(tmp_path: Path) -> None:
    """Oracle: the words typed, and tshark, live, where it is installed."""

    def mirrored(data: bytes, seq: int, *, answers: bool = False, by: str = "10.0.1.2") -> Frame:
        ends = [("10.0.0.5", 40000), ("10.0.1.2", 23)]
        (source, source_port), (destination, destination_port) = ends[::-1] if answers else ends
        outer = ethernet() / ipv4(by, "10.0.1.3") / udp(50000, 4789) / vxlan(7) / ethernet()
        return outer / ipv4(source, destination) / tcp(source_port, destination_port, seq=seq, flags="PA") / data

    path = tmp_path / "mirror.pcap"
    frames = [
        mirrored(b"\xff\xfd\1login: ", 1, answers=True),
        mirrored(b"a", 1),
        mirrored(b"x", 1, by="10.0.9.9"),
        mirrored(b"dmin\r\0", 2),
        datagram(b"other", 4789),
    ]
    path.write_bytes(pcap(records(frames)))
    wanted = [
        "10.0.1.2,10.0.1.2\t10.0.1.3,10.0.0.5\tlogin: ",
        "10.0.1.2,10.0.0.5\t10.0.1.3,10.0.1.2\ta",
        "10.0.1.2,10.0.0.5\t10.0.1.3,10.0.1.2\tdmin\\r",
    ]
    assert run("packets", path, *TUTORIAL).stdout.splitlines() == wanted
    if shutil.which("tshark"):
        theirs = subprocess.run(["tshark", "-n", "-r", path, *TUTORIAL], capture_output=True, text=True, check=True)
        assert theirs.stdout.splitlines() == wanted


def test_presence_and_bytes_of_protocols() -> None:
    """Oracle: the messages themselves."""
    frames = [datagram(DNS["question"], 53), *segments(HTTP["answer"], 80, 1), datagram(b"anything", 9, 9)]
    (batch,) = Annotate(messages=True).feed(decode_all(frames))
    for n, (name, octets) in enumerate({"dns": DNS["question"], "http": HTTP["answer"], "data": b"anything"}.items()):
        field = find(name)
        assert field is not None
        found = occurrences(batch, field)
        assert isinstance(found.values, Octets)
        assert (found.packet.tolist(), found.layer.tolist(), found.values[0]) == ([n], [1], octets)
        assert not len(occurrences(batch, field, np.arange(3) != n))


def test_every_application_is_a_field() -> None:
    assert not {one.name for one in applications()}.difference(names())
    assert [find(name) for name in ("ssl", "bootp")] == [find(name) for name in ("tls", "dhcp")]
    assert {"messages"} <= (find("dns") or FIELDS[0]).requires


def test_echoes_have_data_in_their_stack() -> None:
    """Oracle: tshark 4.0.17 says eth:ethertype:ip:icmp:data of a ping, and no data of one with nothing in it."""
    around = ethernet() / ipv4()
    assert ours([around / icmp() / bytes(16), around / icmp()], ["frame.protocols"]) == [
        "eth:ethertype:ip:icmp:data",
        "eth:ethertype:ip:icmp",
    ]


def read_all(messages: list[bytes]) -> list[int]:
    """How many occurrences each field has in messages; the last ends with the buffer, for ASan."""
    rows = np.zeros(len(messages), MESSAGE_DTYPE)
    rows["length"] = [len(one) for one in messages]
    rows["offset"] = np.cumsum(rows["length"]) - rows["length"]
    buffer = np.frombuffer(b"".join(messages), np.uint8).copy()
    counts = []
    for field in range(16):
        for flags in range(4):
            known = np.full(len(rows), flags, np.uint8)
            found = _application_fields.read(field, rows.view(np.uint8), known, [buffer], b"GET ", b"host:")
            message, number, octets, offsets = found
            assert len(number) == len(message) == len(offsets) - 1
            assert (np.diff(offsets) >= 0).all()
            assert offsets[-1] <= len(octets)
            assert (np.diff(message.astype(np.int64)) >= 0).all()
            counts.append(len(message))
    return counts


@pytest.mark.parametrize("name", MESSAGES)
def test_damaged_messages(name: str) -> None:
    """Cut at every length, and every byte changed in several ways: nothing but fewer or other occurrences."""
    message = MESSAGES[name]
    assert any(read_all([message]))
    assert all(one <= 64 * len(message) for one in read_all([message[:n] for n in range(len(message))]))
    for value in (0, 0x3F, 0xC0, 0xFF):
        read_all([message[:n] + bytes([value]) + message[n + 1 :] for n in range(len(message))])


def test_names_take_no_more_than_they_may() -> None:
    """Pointers let 64 KiB name a thousand times as much. Oracle: the bounds that ext/dns_fields.h states."""
    long = (b"\x3f" + b"x" * 63) * 15 + b"\0"
    message = dns([dns_question(long), *[dns_question(BACK)] * 9000])
    rows = np.zeros(1, MESSAGE_DTYPE)
    rows["length"] = len(message)
    found = _application_fields.read(
        5, rows.view(np.uint8), np.zeros(1, np.uint8), [np.frombuffer(message, np.uint8).copy()], b"", b""
    )
    assert 60 < len(found[0]) < 70
    assert len(found[2]) < 1 << 17


def test_what_is_wrong_is_refused() -> None:
    row, flags = np.zeros(1, MESSAGE_DTYPE).view(np.uint8), np.zeros(1, np.uint8)
    with pytest.raises(ValueError, match="a field, flags for each message"):
        _application_fields.read(16, row, flags, [], b"", b"")
    with pytest.raises(ValueError, match="a field, flags for each message"):
        _application_fields.read(0, row, flags[:0], [], b"", b"")
    assert not len(_application_fields.read(0, row, flags, [], b"", b"")[0])
