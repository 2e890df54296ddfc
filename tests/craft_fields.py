"""Messages of application protocols for tests: DNS, TLS, HTTP."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def dns_name(name: str) -> bytes:
    """RFC 1035 section 3.1, without compression."""
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def dns_question(name: bytes, kind: int = 1) -> bytes:
    return name + struct.pack("!HH", kind, 1)


def dns_record(name: bytes, kind: int, data: bytes, *, length: int | None = None) -> bytes:
    return name + struct.pack("!HHIH", kind, 1, 60, len(data) if length is None else length) + data


def dns(
    questions: Sequence[bytes] = (), records: Sequence[bytes] = (), *, number: int = 0x1234, flags: int = 0x0100
) -> bytes:
    """RFC 1035 section 4.1; `records` are answers."""
    return struct.pack("!6H", number, flags, len(questions), len(records), 0, 0) + b"".join((*questions, *records))


def over_tcp(message: bytes) -> bytes:
    """RFC 1035 section 4.2.2"""
    return struct.pack("!H", len(message)) + message


def handshake(kind: int, body: bytes = b"") -> bytes:
    """RFC 8446 section 4"""
    return bytes([kind]) + len(body).to_bytes(3) + body


def client_hello(*names: bytes) -> bytes:
    """A ClientHello (RFC 8446 section 4.1.2) with these server names (RFC 6066 section 3)."""
    listed = b"".join(struct.pack("!BH", 0, len(name)) + name for name in names)
    server_name = struct.pack("!HHH", 0, len(listed) + 2, len(listed)) + listed
    extensions = struct.pack("!HH", 23, 0) + (server_name if names else b"")
    body = b"\3\3" + bytes(32) + b"\4abcd" + b"\0\2\x13\1" + b"\1\0" + struct.pack("!H", len(extensions)) + extensions
    return handshake(1, body)


def tls_record(data: bytes, *, kind: int = 22, length: int | None = None) -> bytes:
    """RFC 8446 section 5.1"""
    return struct.pack("!BHH", kind, 0x0301, len(data) if length is None else length) + data


MESSAGES = {
    "dns": dns(
        [dns_question(dns_name("www.example.com")), dns_question(b"\xc0\x10", 28)],
        [dns_record(b"\xc0\x0c", 1, b"\xc0\0\2\1"), dns_record(b"\xc0\x0c", 28, bytes(range(16)))],
        flags=0x8183,
    ),
    "tls": tls_record(client_hello(b"example.com")) + tls_record(b"\1", kind=20) + tls_record(b"\x99" * 40),
    "tls-split": b"".join(tls_record(client_hello(b"split.example")[n : n + 30]) for n in range(0, 110, 30)),
    "http": b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8\r\n\r\n",
    "http-answer": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "telnet": b"\xff\xfd\x01\xff\xfa\x18\0vt100\xff\xf0login: \r\nroot\r\0Password: \xff\xf9",
}
"""A message of each kind, for tests that damage them."""
