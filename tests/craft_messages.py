"""One small message of each application protocol, by its specification, and where it travels."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

from tests.craft import Frame, ethernet, ipv4, llc, raw, snap, tcp, udp

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


@dataclass(frozen=True)
class Message:
    """`stack`: the names that tshark gives it, outermost first. `port` is the server's, of TCP or UDP; `frame` is for a
    protocol that has none."""

    stack: str
    transport: str
    port: int
    octets: bytes
    client_port: int = 40000
    frame: Frame | None = field(default=None, hash=False)

    def frames(self) -> list[Frame]:
        if self.frame is not None:
            return [self.frame]
        return [packet(self.transport, self.octets, port=self.port, client_port=self.client_port)]


def packet(
    transport: str,
    octets: bytes,
    *,
    port: int,
    client_port: int = 40000,
    seq: int = 1,
    back: bool = False,
    flags: str = "PA",
) -> Frame:
    """A segment or datagram of the client's, or of the server's when it goes back."""
    ends = (SERVER, CLIENT) if back else (CLIENT, SERVER)
    ports = (port, client_port) if back else (client_port, port)
    layer = udp(*ports) if transport == "udp" else tcp(*ports, seq=seq, flags=flags)
    return ethernet() / ipv4(*ends) / layer / octets


def above_ip(stack: str, protocol: int, octets: bytes) -> Message:
    return Message(
        stack, "ip", 0, octets, frame=ethernet() / ipv4(CLIENT, "224.0.0.5") / raw(octets, protocol=protocol)
    )


def above_link(stack: str, ether_type: int, octets: bytes) -> Message:
    return Message(
        stack, "eth", 0, octets, frame=ethernet(destination="01:80:c2:00:00:03") / raw(octets, ether_type=ether_type)
    )


def ber(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([tag, len(content)]) + content


def quic_long(kind: int, packet_number_and_payload: int, *, token: bytes = b"\0") -> bytes:
    """A long header of RFC 9000 section 17.2 with the connection ids of RFC 9001 appendix A, and a payload of ones."""
    first = bytes([0xC3 | kind << 4]) + bytes.fromhex("00000001 08 8394c8f03e515708 08 f067a5502a4262b5")
    return (
        first
        + (token if kind == 0 else b"")
        + struct.pack("!H", 0x4000 | packet_number_and_payload)
        + bytes([1]) * packet_number_and_payload
    )


def smb2(command: int = 0, following: int = 0) -> bytes:
    """[MS-SMB2] section 2.2.1.2 and a body of 36 bytes (a NEGOTIATE request)."""
    header = struct.pack("<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 0, 0, command, 1, 0, following, 1, 0, 0, 0, bytes(16))
    return header + struct.pack("<HHHHI16sQ", 36, 1, 1, 0, 0, bytes(16), 0) + struct.pack("<H", 0x0202) + bytes(2)


def nbss(content: bytes) -> bytes:
    return struct.pack("!I", len(content)) + content


def tpkt(content: bytes) -> bytes:
    return struct.pack("!BBH", 3, 0, 4 + len(content)) + content


def in_stream(content: bytes) -> bytes:
    """RPC's record marking (RFC 5531 section 11)."""
    return struct.pack("!I", 0x80000000 | len(content)) + content


SMB1 = b"\xffSMBr" + bytes(27) + b"\0" + struct.pack("<H", 14) + b"\2NT LM 0.12\0\0\0"
SNMP = ber(0x30, b"\2\1\0", ber(4, b"public"), ber(0xA0, b"\2\1\1", b"\2\1\0", b"\2\1\0", ber(0x30)))
LDAP = ber(0x30, b"\2\1\1", ber(0x60, b"\2\1\3", b"\4\0", b"\x80\0"))
# RFC 8489 section 5, with the cookie; RFC 3489 had none.
STUN = struct.pack("!HHI12s", 1, 0, 0x2112A442, b"transaction!")
RADIUS = struct.pack("!BBH16s", 1, 1, 26, bytes(16)) + b"\1\6user"
PORTMAP = struct.pack("!10I", 7, 0, 2, 100000, 2, 0, 0, 0, 0, 0)
NFS = struct.pack("!10I", 9, 0, 2, 100003, 3, 0, 0, 0, 0, 0)
SIP = (
    b"OPTIONS sip:carol@chicago.com SIP/2.0\r\nVia: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKhjhs8ass877\r\n"
    b"Max-Forwards: 70\r\nTo: <sip:carol@chicago.com>\r\nFrom: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n"
    b"Call-ID: a84b4c76e66710\r\nCSeq: 63104 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)  # RFC 3261 section 11.1
DHCP = struct.pack(
    "!BBBBIHH16s16s64s128s", 1, 1, 6, 0, 0x3903F326, 0, 0, bytes(16), b"\2\0\0\0\0\1", b"", b""
) + bytes.fromhex("63825363 350101 ff")  # RFC 2131 section 3.1: DHCPDISCOVER
DCERPC_BIND = bytes.fromhex(
    "05000b03 10000000 48000000 01000000 b810b810 00000000 01000000 0000 0100"
    "c84f324b 7016d301 12785a47 bf6ee188 03000000 045d888a eb1cc911 9fe80800 2b104860 02000000"
)
MQTT = bytes.fromhex("10 12 0004 4d515454 05 02 003c 00 0005 656d707479")
WIREGUARD = bytes([1, 0, 0, 0]) + bytes(range(144))

TCP = (
    Message("ssh", "tcp", 22, b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    Message("telnet", "tcp", 23, b"\xff\xfd\x18\xff\xfd\x20"),
    Message("ftp", "tcp", 21, b"USER anonymous\r\n"),
    Message("smtp", "tcp", 25, b"EHLO relay.example\r\n"),
    Message("pop", "tcp", 110, b"STAT\r\n"),
    Message("imap", "tcp", 143, b"a001 NOOP\r\n"),
    Message("ldap", "tcp", 389, LDAP),
    Message("nbss:smb", "tcp", 139, nbss(SMB1)),
    Message("nbss:smb2", "tcp", 445, nbss(smb2())),
    Message("tpkt:cotp:rdp", "tcp", 3389, tpkt(bytes.fromhex("0ee0000000000001000800000000 00"))),
    Message("tpkt:cotp", "tcp", 102, tpkt(bytes.fromhex("0f d0 0001 0002 00 c0010a c1020100 c2020102"))),
    Message("vnc", "tcp", 5900, b"RFB 003.008\n"),
    Message("vnc", "tcp", 9998, b"RFB 003.008\n"),
    Message("bittorrent", "tcp", 6881, b"\x13BitTorrent protocol" + bytes(48)),
    Message("bittorrent", "tcp", 51413, b"\x13BitTorrent protocol" + bytes(48)),
    Message("irc", "tcp", 6667, b"NICK spanline\r\n"),
    Message("mysql", "tcp", 3306, bytes.fromhex("01000000 0e")),
    Message("pgsql", "tcp", 5432, b"\0\0\0\x13\0\3\0\0user\0line\0\0"),
    Message("resp", "tcp", 6379, b"*1\r\n$4\r\nPING\r\n"),
    Message("mqtt", "tcp", 1883, MQTT),
    Message("amqp", "tcp", 5672, b"AMQP\0\1\0\0"),
    Message("mbtcp:modbus", "tcp", 502, bytes.fromhex("0001 0000 0006 11 03 006b 0003")),
    Message("bgp", "tcp", 179, b"\xff" * 16 + b"\0\x13\4"),
    Message("rtsp", "tcp", 554, b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    Message("sip", "tcp", 5060, SIP),
    Message("rpc:portmap", "tcp", 111, in_stream(PORTMAP)),
    Message("rpc:nfs", "tcp", 2049, in_stream(NFS)),
    Message("dcerpc", "tcp", 49670, DCERPC_BIND),
    Message("stun", "tcp", 3478, STUN),
)  # fmt: skip

UDP = (
    Message("dhcp", "udp", 67, DHCP, 68),
    Message("dhcpv6", "udp", 547, bytes.fromhex("0b 0c0d0e 0008 0002 0000"), 546),
    Message("ntp", "udp", 123, b"\x23" + bytes(47), 123),
    Message("snmp", "udp", 161, SNMP),
    Message("sip", "udp", 5060, SIP, 5060),
    Message("quic", "udp", 443, quic_long(0, 1182)),
    Message("gquic", "udp", 443, b"\x09" + bytes(8) + b"Q043\1" + bytes(40)),
    Message("tftp", "udp", 69, b"\0\1boot.bin\0octet\0"),
    Message("cldap", "udp", 389, LDAP),
    Message("bt-dht", "udp", 6881, b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"),
    Message(
        "syslog", "udp", 514, b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - BOM'su root' failed"
    ),
    Message("radius", "udp", 1812, RADIUS),
    Message("isakmp", "udp", 500, bytes(range(16)) + bytes.fromhex("21 20 22 08 00000000 0000001c"), 500),
    Message(
        "udpencap:isakmp",
        "udp",
        4500,
        bytes(4) + bytes(range(16)) + bytes.fromhex("21 20 22 08 00000000 0000001c"),
        4500,
    ),
    Message("wg", "udp", 51820, WIREGUARD),
    Message("openvpn", "udp", 1194, b"\x38" + bytes(range(1, 9)) + bytes(5)),
    Message("stun", "udp", 3478, STUN),
    Message("stun", "udp", 50000, STUN),
    Message("classicstun", "udp", 50001, struct.pack("!HH16s", 1, 0, b"transaction 3489")),
    Message("rpc:portmap", "udp", 111, PORTMAP),
    Message("rpc:nfs", "udp", 2049, NFS),
    Message("dns", "udp", 53, bytes.fromhex("0001 0100 0001 0000 0000 0000 07") + b"example\3com\0\0\1\0\1"),
    Message("llmnr", "udp", 5355, bytes.fromhex("0001 0000 0001 0000 0000 0000 04") + b"wpad\0\0\1\0\1"),
)

SPANNING_TREE = bytes.fromhex("0000 00 00 00 8000 020000000001 00000000 8000 020000000001 8001 0000 1400 0200 0f00")
OSPF_HELLO = bytes.fromhex(
    "02 01 002c 0a000001 00000000 0000 0000 0000000000000000 ffffff00 000a 02 01 00000028 00000000 00000000"
)
LACP = b"\1\1" + b"\1\x14" + bytes(18) + b"\2\x14" + bytes(18) + b"\3\x10" + bytes(14) + bytes(52)

OTHERS = (
    above_ip("igmp", 2, bytes.fromhex("16 00 09 04 e0 00 00 fb")),
    above_ip("ospf", 89, OSPF_HELLO),
    above_ip("esp", 50, struct.pack("!II", 0x1000, 1) + bytes(40)),
    above_link("lldp", 0x88CC, bytes.fromhex("0207 04 020000000001 0404 05 657468 0602 0078 0000")),
    above_link("slow", 0x8809, LACP),
    above_link("eapol", 0x888E, bytes.fromhex("01 01 0000")),
    Message("stp", "llc", 0, b"", frame=ethernet() / llc() / SPANNING_TREE),
    Message(
        "cdp",
        "llc",
        1,
        b"",
        frame=ethernet() / snap(0x0C) / raw(bytes.fromhex("02 b4 0000 0001 0008 6e616d65"), ether_type=0x2000),
    ),
)

# Each has a client's port of its own, so that they can stand in one file.
MESSAGES = tuple(
    replace(message, client_port=40000 + n) if message.client_port >= 40000 else message
    for n, message in enumerate(TCP + UDP + OTHERS)
)
