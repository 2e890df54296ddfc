"""Application messages of the demo captures: bytes of common protocols that any dissector accepts."""

from __future__ import annotations

import ipaddress
import random
import struct


def dns_query(identifier: int, name: str) -> bytes:
    """A recursive query for the A records of `name` (RFC 1035)."""
    return struct.pack(">6H", identifier, 0x0100, 1, 0, 0, 0) + _question(name)


def dns_response(identifier: int, name: str, address: str | None) -> bytes:
    """The answer to `dns_query`: one A record, or "no such name" for None."""
    if address is None:
        return struct.pack(">6H", identifier, 0x8183, 1, 0, 0, 0) + _question(name)
    answer = struct.pack(">HHHIH", 0xC00C, 1, 1, 300, 4) + ipaddress.IPv4Address(address).packed
    return struct.pack(">6H", identifier, 0x8180, 1, 1, 0, 0) + _question(name) + answer


def _question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return labels + b"\0" + struct.pack(">HH", 1, 1)


def http_request(method: str, target: str, host: str, body: bytes = b"", kind: str = "") -> bytes:
    """An HTTP/1.1 request with the headers of a common browser."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) demo"]
    lines += ["Accept: */*", "Accept-Language: en", "Connection: keep-alive"]
    if body:
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def http_response(status: str, kind: str, body: bytes) -> bytes:
    """An HTTP/1.1 response with a body of known length."""
    lines = [f"HTTP/1.1 {status}", "Server: nginx", "Date: Mon, 01 Jan 2024 09:00:00 GMT", f"Content-Type: {kind}"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: keep-alive", "", ""]).encode() + body


def web_page(title: str, paragraphs: int) -> bytes:
    """An HTML page, about 230 bytes a paragraph."""
    text = "The quick brown fox looked at the mirror port, and the mirror port looked back at the quick brown fox. "
    body = "\n".join(f"<p id='p{number}'>{text * 2}</p>" for number in range(paragraphs))
    return f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body>\n{body}\n</body></html>\n".encode()


def _record(kind: int, version: int, body: bytes) -> bytes:
    return struct.pack(">BHH", kind, version, len(body)) + body


def _extension(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, len(body)) + body


def _vector(width: int, body: bytes) -> bytes:
    return len(body).to_bytes(width, "big") + body


def tls_client_hello(rng: random.Random, server_name: str) -> bytes:
    """A TLS 1.3 ClientHello (RFC 8446) with the server's name in it."""
    name = b"\0" + _vector(2, server_name.encode())
    extensions = b"".join(
        (
            _extension(0, _vector(2, name)),
            _extension(10, _vector(2, struct.pack(">2H", 0x001D, 0x0017))),
            _extension(13, _vector(2, struct.pack(">3H", 0x0403, 0x0804, 0x0401))),
            _extension(16, _vector(2, _vector(1, b"h2") + _vector(1, b"http/1.1"))),
            _extension(43, _vector(1, struct.pack(">2H", 0x0304, 0x0303))),
            _extension(51, _vector(2, struct.pack(">H", 0x001D) + _vector(2, rng.randbytes(32)))),
        )
    )
    suites = struct.pack(">4H", 0x1301, 0x1302, 0x1303, 0xC02F)
    hello = struct.pack(">H", 0x0303) + rng.randbytes(32) + _vector(1, rng.randbytes(32)) + _vector(2, suites)
    return _record(22, 0x0301, b"\x01" + _vector(3, hello + _vector(1, b"\0") + _vector(2, extensions)))


def tls_server_hello(rng: random.Random, client_hello: bytes, certificate_bytes: int) -> bytes:
    """The server's first flight: ServerHello, ChangeCipherSpec, and encrypted handshake messages."""
    # The session identifier is echoed: record header 5, handshake header 4, version 2, random 32, length 1.
    session = client_hello[44:76]
    extensions = _extension(43, struct.pack(">H", 0x0304))
    extensions += _extension(51, struct.pack(">H", 0x001D) + _vector(2, rng.randbytes(32)))
    hello = struct.pack(">H", 0x0303) + rng.randbytes(32) + _vector(1, session) + struct.pack(">HB", 0x1301, 0)
    first = _record(22, 0x0303, b"\x02" + _vector(3, hello + _vector(2, extensions)))
    return first + _record(20, 0x0303, b"\x01") + tls_data(rng, certificate_bytes)


def tls_finished(rng: random.Random) -> bytes:
    """The client's last handshake flight."""
    return _record(20, 0x0303, b"\x01") + tls_data(rng, 53)


def tls_data(rng: random.Random, size: int) -> bytes:
    """One record of encrypted data, `size` bytes without its header."""
    return _record(23, 0x0303, rng.randbytes(size))


def _ssh_packet(rng: random.Random, payload: bytes) -> bytes:
    # RFC 4253: length, padding length, payload and at least four bytes of padding fill whole blocks of 8 bytes.
    padding = 4 + -(len(payload) + 9) % 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + rng.randbytes(padding)


def ssh_key_exchange(rng: random.Random) -> bytes:
    """SSH_MSG_KEXINIT, the algorithms that one side offers."""
    lists = [b"curve25519-sha256", b"ssh-ed25519"]
    lists += [b"chacha20-poly1305@openssh.com"] * 2 + [b"hmac-sha2-256"] * 2 + [b"none"] * 2 + [b""] * 2
    return _ssh_packet(rng, b"\x14" + rng.randbytes(16) + b"".join(_vector(4, item) for item in lists) + bytes(5))


def ssh_client_key(rng: random.Random) -> bytes:
    """SSH_MSG_KEX_ECDH_INIT."""
    return _ssh_packet(rng, b"\x1e" + _vector(4, rng.randbytes(32)))


def ssh_server_key(rng: random.Random) -> bytes:
    """SSH_MSG_KEX_ECDH_REPLY and SSH_MSG_NEWKEYS."""
    name = _vector(4, b"ssh-ed25519")
    host_key, signature = name + _vector(4, rng.randbytes(32)), name + _vector(4, rng.randbytes(64))
    reply = _vector(4, host_key) + _vector(4, rng.randbytes(32)) + _vector(4, signature)
    return _ssh_packet(rng, b"\x1f" + reply) + ssh_new_keys(rng)


def ssh_new_keys(rng: random.Random) -> bytes:
    """SSH_MSG_NEWKEYS: everything after it is encrypted."""
    return _ssh_packet(rng, b"\x15")


IAC, DO, WILL = b"\xff", b"\xfd", b"\xfb"
ECHO, SUPPRESS_GO_AHEAD, TERMINAL_TYPE, WINDOW_SIZE = b"\x01", b"\x03", b"\x18", b"\x1f"
TELNET_OFFER = IAC + DO + TERMINAL_TYPE + IAC + DO + WINDOW_SIZE + IAC + WILL + ECHO + IAC + WILL + SUPPRESS_GO_AHEAD
TELNET_ACCEPT = IAC + WILL + TERMINAL_TYPE + IAC + WILL + WINDOW_SIZE + IAC + DO + ECHO + IAC + DO + SUPPRESS_GO_AHEAD
TELNET_ASK_TERMINAL = IAC + b"\xfa" + TERMINAL_TYPE + b"\x01" + IAC + b"\xf0"
TELNET_TERMINAL = IAC + b"\xfa" + TERMINAL_TYPE + b"\x00XTERM" + IAC + b"\xf0"
TELNET_WINDOW = IAC + b"\xfa" + WINDOW_SIZE + b"\x00\x50\x00\x18" + IAC + b"\xf0"


def _tpkt(body: bytes) -> bytes:
    return struct.pack(">BxH", 3, len(body) + 4) + body


def rdp_request(user: str) -> bytes:
    """An X.224 connection request with a cookie and the wish for TLS (MS-RDPBCGR section 2.2.1.1)."""
    cookie = f"Cookie: mstshash={user}\r\n".encode()
    wish = struct.pack("<BBHI", 1, 0, 8, 1)
    return _tpkt(struct.pack(">BBHHB", 6 + len(cookie) + len(wish), 0xE0, 0, 0, 0) + cookie + wish)


def rdp_confirm() -> bytes:
    """The X.224 connection confirm that grants TLS (MS-RDPBCGR section 2.2.1.2)."""
    return _tpkt(struct.pack(">BBHHB", 14, 0xD0, 0, 0x1234, 0) + struct.pack("<BBHI", 2, 0, 8, 1))


BITTORRENT_INTERESTED, BITTORRENT_UNCHOKE = b"\0\0\0\1\2", b"\0\0\0\1\1"


def bittorrent_handshake(torrent: bytes, peer: bytes) -> bytes:
    """What each peer says first (BEP 3): 20 bytes name the torrent, 20 the peer."""
    return b"\x13BitTorrent protocol" + bytes(8) + torrent + peer


def bittorrent_request(piece: int) -> bytes:
    """A peer asks for the first 16 KiB of a piece."""
    return struct.pack(">IBIII", 13, 6, piece, 0, 16384)


def bittorrent_piece(piece: int, data: bytes) -> bytes:
    """The answer."""
    return struct.pack(">IBII", 9 + len(data), 7, piece, 0) + data
