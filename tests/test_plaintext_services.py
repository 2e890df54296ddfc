"""Services without encryption. Oracles: tshark 4.0, which finds the same protocols in the same bytes and in real
captures."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest

from spanline.plaintext.model import Kind, Parser
from spanline.plaintext.parsers.fieldbus import S7, Bacnet, Dnp3, EtherNetIp, Iec104, Modbus, OpcUa
from spanline.plaintext.parsers.syslog import Syslog
from tests import tshark
from tests.attempts import attempts
from tests.captured_pieces import captured
from tests.craft_logins import written
from tests.pieces import CLIENT, SERVER, Dialogue

COTP = b"\x03\0\0\x16\x11\xe0\0\0\0\1\0\xc1\2\1\0\xc2\2\1\2\xc0\1\x0a"
S7_SETUP = b"\x03\0\0\x19\2\xf0\x80\x32\1\0\0\0\0\0\x08\0\0\xf0\0\0\1\0\1\1\xe0"
URL = b"opc.tcp://plc:4840"
HELLO = b"HELF" + pack("<IIIIIII", 32 + len(URL), 0, 65536, 65536, 0, 0, len(URL)) + URL
POLICY = b"http://opcfoundation.org/UA/SecurityPolicy#"


def opened(policy: bytes) -> bytes:
    body = pack("<II", 0, len(POLICY + policy)) + POLICY + policy + b"\xff" * 8 + pack("<II", 1, 1) + bytes(60)
    return b"OPNF" + pack("<I", 8 + len(body)) + body


SERVICES: list[tuple[type[Parser], str, str, int, str, list[bytes]]] = [
    (Modbus, "Modbus/TCP", "tcp", 502, "mbtcp", [b"\0\1\0\0\0\6\1\3\0\0\0\x0a"]),
    (S7, "S7comm", "tcp", 102, "s7comm", [COTP, S7_SETUP]),
    (Dnp3, "DNP3", "tcp", 20000, "dnp3", [b"\x05\x64\x05\xc9\1\0\0\4\xa6\x57"]),
    (Dnp3, "DNP3", "udp", 20000, "dnp3", [b"\x05\x64\x05\xc9\1\0\0\4\xa6\x57"]),
    (EtherNetIp, "EtherNet/IP", "tcp", 44818, "enip", [b"\x65\0\4\0" + bytes(20) + b"\1\0\0\0"]),
    (EtherNetIp, "EtherNet/IP", "udp", 44818, "enip", [b"\x63\0\0\0" + bytes(20)]),
    (Iec104, "IEC 60870-5-104", "tcp", 2404, "iec60870_104", [b"\x68\4\7\0\0\0"]),
    (Bacnet, "BACnet/IP", "udp", 47808, "bvlc", [b"\x81\x0b\0\x0c\1\x20\xff\xff\0\xff\x10\x08"]),
    (OpcUa, "security policy None", "tcp", 4840, "opcua", [HELLO, opened(b"None")]),
    (Syslog, "syslog", "udp", 514, "syslog", [b"<34>1 2003-10-11T22:14:15.003Z host su - ID47 - no"]),
    (Syslog, "syslog", "tcp", 601, "syslog", [b"50 <34>1 2003-10-11T22:14:15.003Z host su - ID47 - nothing"]),
]


@pytest.mark.parametrize(("parser", "scheme", "transport", "port", "protocol", "messages"), SERVICES)
def test_a_service(
    parser: type[Parser],
    scheme: str,
    transport: str,
    port: int,
    protocol: str,
    messages: list[bytes],
    tmp_path: Path,
) -> None:
    dialogue: Dialogue = [(CLIENT, message) for message in messages] * 3
    [finding] = attempts(parser, dialogue, transport)
    assert (finding.kind, finding.scheme, finding.account, finding.inferred) == (Kind.SERVICE, scheme, "", False)
    assert finding.frames == (len(messages),)
    if (transport, port) != ("tcp", 601):
        capture = written(tmp_path / "service.pcap", dialogue, port, transport)
        assert (str(len(messages)),) in tshark.fields(capture, protocol, "frame.number")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "other",
    [
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(256)),
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" + bytes(range(256)),
        b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n" + b"x" * 512,
    ],
)
def test_what_is_another_protocol(service: tuple[type[Parser], str, str, int, str, list[bytes]], other: bytes) -> None:
    parser, _, transport, *_ = service
    assert attempts(parser, [(CLIENT, other), (SERVER, other)], transport) == []


def test_a_policy_that_encrypts() -> None:
    assert attempts(OpcUa, [(CLIENT, HELLO), (CLIENT, opened(b"Basic256Sha256"))]) == []


@pytest.mark.parametrize(
    ("capture", "parser", "transport", "port", "protocol"),
    [
        ("syslog__zeek__syslog-single-udp.pcap", Syslog, "udp", 514, "syslog"),
        ("rlogin-rsh__zeek__tcp-syslog.pcap", Syslog, "tcp", 514, ""),
        ("socks__ICS-Security-Tools__dnp3.pcap", Dnp3, "tcp", 20000, "dnp3"),
    ],
)
def test_real_captures(
    captures: Path, capture: str, parser: type[Parser], transport: str, port: int, protocol: str
) -> None:
    """Oracle: the conversations of which tshark shows frames of the protocol; syslog over TCP it takes for rsh."""
    path = captures / "plaintext" / capture
    found = captured(path, parser, lambda one: port in (one.client_port, one.server_port))
    shown = tshark.fields(path, protocol or f"tcp.port == {port}", f"{transport}.stream")
    assert len(found) == len(set(shown)) > 0
