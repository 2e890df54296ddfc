"""Write a small capture as the target of an OCI VTAP receives it: a client subnet, its servers, all inside VXLAN.

    python benchmarks/demo.py demo.pcap

Clients 10.0.0.x use servers 10.0.1.x; the mirror sends from 10.0.1.2 to 10.0.1.3:4789. Two tenants, VNI 100 and 200,
have the same addresses, and once the same five-tuple. The capture holds DNS, HTTP, TLS, SSH, ping, one telnet login
typed key by key, some lost SYNs, one refused connection and one server that is much slower than the others. It is the
same, byte for byte, every time. The names, the user and the password are invented.
"""

from __future__ import annotations

import argparse
import ipaddress
import random
import struct
from dataclasses import dataclass, field
from os import PathLike

import demo_messages as messages

START = 1_704_099_600 * 1_000_000_000
"""2024-01-01 09:00:00 UTC, in ns since the epoch."""

MIRROR_SOURCE, MIRROR_TARGET, VXLAN_PORT = "10.0.1.2", "10.0.1.3", 4789
ICMP, TCP, UDP = 1, 6, 17
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
SEGMENT_BYTES = 1410
"""Largest TCP payload: the encapsulated frame still fits an MTU of 1500."""


@dataclass(frozen=True)
class Server:
    """A server and the round-trip time to it: `rtt` is the median in seconds, `spread` the sigma of its logarithm."""

    address: str
    port: int
    rtt: float
    spread: float = 0.2
    name: str = ""


RESOLVER = Server("10.0.1.10", 53, 0.0004)
WEB = Server("10.0.1.20", 80, 0.0011, 0.15, "www.example.com")
API = Server("10.0.1.21", 8080, 0.0032, 0.25, "api.example.com")
SHOP = Server("10.0.1.30", 443, 0.0055, 0.2, "shop.example.com")
FILES = Server("10.0.1.31", 443, 0.0120, 0.3, "files.example.com")
BASTION = Server("10.0.1.40", 22, 0.0021, 0.1, "bastion.example.com")
LEGACY = Server("10.0.1.2", 23, 0.0018, 0.1, "legacy.example.com")
ARCHIVE = Server("10.0.1.66", 80, 0.1850, 0.1, "archive.example.com")
CLOSED = Server("10.0.1.70", 8443, 0.0015, 0.1, "closed.example.com")


def internet_checksum(data: bytes) -> int:
    """The ones' complement checksum of RFC 1071."""
    total: int = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


def _ethernet_address(address: str) -> bytes:
    return b"\x02\x00" + _packed(address)


def ipv4_frame(source: str, destination: str, protocol: int, identifier: int, payload: bytes, ttl: int = 64) -> bytes:
    """An Ethernet frame with an IPv4 packet."""
    fields = (0x45, 0, 20 + len(payload), identifier, 0x4000, ttl, protocol)
    header = struct.pack(">BBHHHBBH", *fields, 0) + _packed(source) + _packed(destination)
    header = header[:10] + struct.pack(">H", internet_checksum(header)) + header[12:]
    return _ethernet_address(destination) + _ethernet_address(source) + b"\x08\x00" + header + payload


def _with_checksum(segment: bytes, offset: int, source: str, destination: str, protocol: int) -> bytes:
    """A TCP or UDP segment with its checksum filled in at `offset`."""
    pseudo = _packed(source) + _packed(destination) + struct.pack(">BBH", 0, protocol, len(segment))
    checksum = internet_checksum(pseudo + segment) or 0xFFFF
    return segment[:offset] + struct.pack(">H", checksum) + segment[offset + 2 :]


@dataclass
class Mirror:
    """Collects the frames of one capture, in any order of time."""

    rng: random.Random
    frames: list[tuple[float, bytes]] = field(default_factory=list)
    identifiers: dict[tuple[int, str], int] = field(default_factory=dict)
    ports: dict[tuple[int, str], int] = field(default_factory=dict)

    def client_port(self, vni: int, client: str) -> int:
        """The next ephemeral port of a client; the tenants' ranges differ."""
        port = self.ports.get((vni, client), 49152 + vni * 40 + int(client.rsplit(".", 1)[1]) * 41) + 1
        self.ports[vni, client] = port
        return port

    def packet(self, now: float, vni: int, source: str, destination: str, protocol: int, payload: bytes) -> None:
        """Mirror one IPv4 packet, seen at `now` (seconds since START)."""
        identifier = self.identifiers.get((vni, source), 1000) + 1
        self.identifiers[vni, source] = identifier
        inner = ipv4_frame(source, destination, protocol, identifier & 0xFFFF, payload)
        # The outer source port is a hash of the inner addresses and ports, the same both ways (RFC 7348).
        ports = sum(struct.unpack(">HH", payload[:4])) if protocol != ICMP else 0
        hashed = 49152 + (sum(_packed(source)) * 31 + sum(_packed(destination)) * 31 + ports * 7 + protocol) % 16384
        vxlan = struct.pack(">BxxxI", 0x08, vni << 8) + inner
        outer = struct.pack(">HHHH", hashed, VXLAN_PORT, len(vxlan) + 8, 0) + vxlan
        frame = ipv4_frame(MIRROR_SOURCE, MIRROR_TARGET, UDP, len(self.frames) & 0xFFFF, outer)
        self.frames.append((now, frame))

    def write(self, path: str | PathLike[str]) -> int:
        """Write the capture with ns timestamps; return the number of frames."""
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
            for now, frame in sorted(self.frames, key=lambda item: item[0]):
                seconds, nanoseconds = divmod(START + round(now * 1e9), 1_000_000_000)
                file.write(struct.pack("<IIII", seconds, nanoseconds, len(frame), len(frame)) + frame)
        return len(self.frames)


class Conversation:
    """One TCP connection, told from the client's side of the network; `now` moves on with every packet."""

    def __init__(self, mirror: Mirror, vni: int, client: str, server: Server, now: float, port: int = 0) -> None:
        """Prepare a connection that begins at `now`; nothing is sent yet."""
        self.mirror, self.vni, self.server, self.now = mirror, vni, server, now
        self.rng = mirror.rng
        port = port or mirror.client_port(vni, client)
        self.ends = ((client, port), (server.address, server.port))
        self.next_sequence = [self.rng.getrandbits(32), self.rng.getrandbits(32)]

    def rtt(self) -> float:
        """One round trip to the server, in seconds."""
        return self.server.rtt * self.rng.lognormvariate(0.0, self.server.spread)

    def segment(self, side: int, flags: int, data: bytes = b"") -> None:
        """Send one segment now; side 0 is the client, 1 the server. SYN and FIN take a sequence number."""
        (source, source_port), (destination, destination_port) = self.ends[side], self.ends[1 - side]
        options = bytes.fromhex("020405820402010303070101") if flags & SYN else b""
        numbers = (self.next_sequence[side], self.next_sequence[1 - side] if flags & ACK else 0)
        offset = (20 + len(options)) // 4 << 4
        # 64 KiB; after the SYN the window counts in units of 2 to the power of 7 bytes, as the options say.
        window = 64240 if flags & SYN else 502
        header = struct.pack(">HHIIBBHHH", source_port, destination_port, *numbers, offset, flags, window, 0, 0)
        segment = _with_checksum(header + options + data, 16, source, destination, TCP)
        self.mirror.packet(self.now, self.vni, source, destination, TCP, segment)
        consumed = len(data) + bool(flags & (SYN | FIN))
        self.next_sequence[side] = (self.next_sequence[side] + consumed) & 0xFFFFFFFF

    def _again(self, side: int, flags: int) -> None:
        """Send the same SYN once more, after the timeout of about one second."""
        self.now += 1.0 + 0.02 * self.rng.random()
        self.next_sequence[side] = (self.next_sequence[side] - 1) & 0xFFFFFFFF
        self.segment(side, flags)

    def open(self, lost_syns: int = 0, lost_synacks: int = 0) -> Conversation:
        """The three-way handshake, after some SYNs and SYN-ACKs that were lost beyond the mirror."""
        self.segment(0, SYN)
        for _ in range(lost_syns):
            self._again(0, SYN)
        self.now += self.rtt()
        self.segment(1, SYN | ACK)
        for _ in range(lost_synacks):
            self._again(1, SYN | ACK)
        self.now += self.rng.uniform(0.00005, 0.0002)
        self.segment(0, ACK)
        return self

    def send(self, side: int, data: bytes, think: float = 0.0) -> None:
        """Send `data` in as many segments as it takes; the other side acknowledges every second one and the last."""
        self.now += think * self.rng.lognormvariate(0.0, 0.3) + (self.rtt() if side else 0.0002)
        pieces = [data[start : start + SEGMENT_BYTES] for start in range(0, len(data), SEGMENT_BYTES)]
        for number, piece in enumerate(pieces, 1):
            last = number == len(pieces)
            self.segment(side, ACK | (PSH if last else 0), piece)
            if number % 2 == 0 or last:
                self.now += self.rng.uniform(0.00003, 0.0001) if side else self.rtt()
                self.segment(1 - side, ACK)
            self.now += self.rng.uniform(0.00005, 0.00015)

    def exchange(self, request: bytes, response: bytes, think: float = 0.002) -> None:
        """A request, and the server's response after `think` seconds."""
        self.send(0, request)
        self.send(1, response, think)

    def close(self) -> None:
        """The client closes, the server follows."""
        self.now += 0.01
        self.segment(0, FIN | ACK)
        self.now += self.rtt()
        self.segment(1, FIN | ACK)
        self.now += 0.0001
        self.segment(0, ACK)


def lookup(mirror: Mirror, vni: int, client: str, now: float, name: str, address: str | None) -> float:
    """A DNS lookup; returns the time of the answer."""
    identifier, port = mirror.rng.getrandbits(16), mirror.client_port(vni, client)
    answered = now + RESOLVER.rtt * mirror.rng.lognormvariate(0.0, RESOLVER.spread)
    query, response = messages.dns_query(identifier, name), messages.dns_response(identifier, name, address)
    for when, source, destination, ports, message in (
        (now, client, RESOLVER.address, (port, 53), query),
        (answered, RESOLVER.address, client, (53, port), response),
    ):
        datagram = struct.pack(">HHHH", *ports, len(message) + 8, 0) + message
        datagram = _with_checksum(datagram, 6, source, destination, UDP)
        mirror.packet(when, vni, source, destination, UDP, datagram)
    return answered


def ping(mirror: Mirror, vni: int, client: str, server: Server, now: float, count: int, octets: int = 56) -> None:
    """ICMP echo with `octets` of data, once a second."""
    for number in range(1, count + 1):
        data = struct.pack(">HH", 4711, number) + bytes(16) + bytes(n & 0xFF for n in range(0x10, octets))
        for when, source, destination, kind in (
            (now, client, server.address, 8),
            (now + server.rtt * mirror.rng.lognormvariate(0.0, server.spread), server.address, client, 0),
        ):
            checksum = internet_checksum(bytes([kind, 0, 0, 0]) + data)
            mirror.packet(when, vni, source, destination, ICMP, struct.pack(">BBH", kind, 0, checksum) + data)
        now += 1.0


def browse(mirror: Mirror, vni: int, client: str, server: Server, now: float, lost_syns: int = 0) -> None:
    """A few pages over one HTTP connection."""
    rng = mirror.rng
    talk = Conversation(
        mirror, vni, client, server, lookup(mirror, vni, client, now, server.name, server.address) + 0.001
    )
    talk.open(lost_syns=lost_syns)
    for number in range(rng.randint(1, 4)):
        page = messages.http_response("200 OK", "text/html", messages.web_page(f"Page {number}", rng.randint(3, 45)))
        talk.exchange(messages.http_request("GET", f"/page/{number}.html", server.name), page)
        talk.now += rng.uniform(0.2, 2.0)
    talk.exchange(
        messages.http_request("GET", "/favicon.ico", server.name),
        messages.http_response("404 Not Found", "text/plain", b"not found\n"),
    )
    talk.close()


def call_api(mirror: Mirror, vni: int, client: str, now: float) -> None:
    """Orders sent to the JSON service."""
    rng = mirror.rng
    talk = Conversation(mirror, vni, client, API, now).open(lost_synacks=rng.random() < 0.1)
    for _ in range(rng.randint(2, 6)):
        order = f'{{"order": {rng.randint(1000, 9999)}, "pieces": {rng.randint(1, 9)}}}'.encode()
        answer = messages.http_response("201 Created", "application/json", b'{"accepted": true}\n')
        talk.exchange(messages.http_request("POST", "/v1/orders", API.name, order, "application/json"), answer, 0.008)
        talk.now += rng.uniform(0.05, 0.6)
    talk.close()


def use_tls(mirror: Mirror, vni: int, client: str, server: Server, now: float, lost_syns: int = 0) -> None:
    """A TLS 1.3 session with some encrypted requests."""
    rng = mirror.rng
    talk = Conversation(
        mirror, vni, client, server, lookup(mirror, vni, client, now, server.name, server.address) + 0.001
    )
    hello = messages.tls_client_hello(rng, server.name)
    talk.open(lost_syns=lost_syns).exchange(hello, messages.tls_server_hello(rng, hello, 2800))
    talk.send(0, messages.tls_finished(rng))
    for _ in range(rng.randint(1, 5)):
        answer = b"".join(messages.tls_data(rng, rng.randint(200, 4000)) for _ in range(rng.randint(1, 4)))
        talk.exchange(messages.tls_data(rng, rng.randint(120, 600)), answer, 0.004)
        talk.now += rng.uniform(0.1, 1.5)
    talk.close()


def use_ssh(mirror: Mirror, vni: int, client: str, now: float) -> None:
    """An SSH session: banners, key exchange, then encrypted key presses."""
    rng = mirror.rng
    talk = Conversation(mirror, vni, client, BASTION, now).open()
    talk.send(1, b"SSH-2.0-OpenSSH_9.6\r\n", 0.004)
    talk.send(0, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    talk.exchange(messages.ssh_key_exchange(rng), messages.ssh_key_exchange(rng))
    talk.exchange(messages.ssh_client_key(rng), messages.ssh_server_key(rng))
    talk.send(0, messages.ssh_new_keys(rng))
    for _ in range(rng.randint(20, 40)):
        talk.exchange(rng.randbytes(36), rng.randbytes(36 if rng.random() < 0.8 else 420), 0.001)
        talk.now += rng.uniform(0.08, 0.4)
    talk.close()


def use_telnet(mirror: Mirror, vni: int, client: str, now: float, user: str, password: str) -> None:
    """A login typed one key per packet, with the echo of all but the password, one typing error and two commands."""
    talk = Conversation(mirror, vni, client, LEGACY, now).open()

    def type_keys(keys: str, echo: bool = True) -> None:
        for key in keys.encode():
            talk.now += talk.rng.uniform(0.09, 0.35)
            erased = key == 0x7F
            talk.send(0, bytes([key]))
            if echo:
                talk.send(1, b"\b \b" if erased else bytes([key]))
        talk.now += 0.3
        talk.send(0, b"\r\0")

    talk.send(1, messages.TELNET_OFFER, 0.01)
    talk.send(0, messages.TELNET_ACCEPT)
    talk.exchange(messages.TELNET_WINDOW, messages.TELNET_ASK_TERMINAL)
    talk.exchange(messages.TELNET_TERMINAL, b"\r\nLegacy host, authorised use only\r\n\r\nlogin: ")
    type_keys(user)
    talk.send(1, b"\r\nPassword: ")
    type_keys(password, echo=False)
    talk.send(1, b"\r\nLast login: Sun Dec 31 17:20:11 from 10.0.0.5\r\n$ ", 0.05)
    type_keys("lss\x7f -l")
    talk.send(1, b"\r\ntotal 2\r\n-rw-r--r-- 1 opc opc 812 notes.txt\r\n-rw-r--r-- 1 opc opc  64 todo.txt\r\n$ ", 0.01)
    type_keys("exit")
    talk.send(1, b"\r\nlogout\r\n")
    talk.close()


def write_demo(path: str | PathLike[str], seed: int = 1) -> int:
    """Write the demo capture to `path`; return the number of frames."""
    rng = random.Random(seed)
    mirror = Mirror(rng)
    clients = [f"10.0.0.{number}" for number in range(5, 25)]
    for vni, visits in ((100, 120), (200, 40)):
        for visit in range(visits):
            client, now = rng.choice(clients), rng.uniform(0.0, 240.0)
            # A few SYNs are lost, once each, and one twice.
            lost = 2 if visit == 30 else int(visit % 17 == 3)
            task = rng.choices(("web", "shop", "files", "api", "archive"), (30, 25, 10, 20, 8))[0]
            if task == "api":
                call_api(mirror, vni, client, now)
            elif task in ("web", "archive"):
                browse(mirror, vni, client, WEB if task == "web" else ARCHIVE, now, lost)
            else:
                use_tls(mirror, vni, client, SHOP if task == "shop" else FILES, now, lost)
        # The same five-tuple lives in both tenants.
        twin = Conversation(mirror, vni, "10.0.0.9", WEB, 100.0 + vni / 1000, port=40000).open()
        body = f"tenant {vni}\n".encode()
        twin.exchange(
            messages.http_request("GET", "/tenant", WEB.name), messages.http_response("200 OK", "text/plain", body)
        )
        twin.close()
    for number in range(6):
        lookup(mirror, 100, rng.choice(clients), rng.uniform(0.0, 240.0), f"printer{number}.example.com", None)
    use_ssh(mirror, 100, "10.0.0.7", 12.0)
    use_ssh(mirror, 100, "10.0.0.12", 95.0)
    use_telnet(mirror, 100, "10.0.0.5", 42.0, "opc", "not-a-real-password")
    ping(mirror, 100, "10.0.0.8", ARCHIVE, 60.0, 10)
    ping(mirror, 200, "10.0.0.8", WEB, 61.0, 5)
    refused = Conversation(mirror, 100, "10.0.0.14", CLOSED, 130.0)
    refused.segment(0, SYN)
    refused.now += refused.rtt()
    refused.next_sequence[1] = 0
    refused.segment(1, RST | ACK)
    return mirror.write(path)


def main() -> None:
    """Write the demo capture where the command line says."""
    parser = argparse.ArgumentParser(description="Write the demo capture of spanline.")
    parser.add_argument("path", help="the pcap file to write")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(f"{write_demo(arguments.path, arguments.seed)} frames written to {arguments.path}")


if __name__ == "__main__":
    main()
