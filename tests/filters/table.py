"""Filters, captures, and what tshark says of each pair."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from tests.craft import Frame, arp, ethernet, icmp, ipv4, ipv6, option, raw, sll, sll2, tcp, udp, vlan
from tests.craft_files import START, Pcapng, Record, pcap
from tests.craft_tunnels import gre, vxlan

HERE = Path(__file__).parent
CRAFTED = "crafted.pcap"
RARE = "rare.pcap", "cooked.pcapng"
SHARED = (
    "tcp/syn-retx__maltrail__mixed_soup.pcap",
    "ip/v6ext__ipfixprobe__mixed.pcap",
    "ip/v4frag__bro__dns-edns-ecs.pcap",
    "tunnels/vxlan__nDPI__vxlan.pcap",
    "tunnels/gre__zeek__erspan.pcap",
    "apps/sctp__arkime__sctp-www.pcap",
)


@dataclass
class Table:
    """NAME.txt lists filters, NAME.tsv has what tshark says of them; captures are paths below a folder."""

    name: str
    captures: tuple[str, ...]

    @property
    def filters(self) -> list[str]:
        lines = (HERE / f"{self.name}.txt").read_text().splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    @property
    def path(self) -> Path:
        return HERE / f"{self.name}.tsv"

    @cached_property
    def expected(self) -> dict[str, list[str]]:
        """By filter, for each capture the frames that tshark shows, as compact() writes them."""
        rows = [line.split("\t") for line in self.path.read_text().splitlines()]
        assert tuple(rows[0][1:]) == self.captures
        return {row[0]: row[1:] for row in rows[1:]}


FAMILIES = Table("families", SHARED)
"""Every operator and every family of fields, on captures of others."""

EDGES = Table("edges", (CRAFTED,))
"""What is easy to get wrong, on a few frames of our own."""


SELDOM = Table("seldom", RARE)
"""What few captures have: TCP options, IGMP, lengths in place of types, cooked captures."""


def write_crafted(folder: Path) -> None:
    """CRAFTED and RARE."""
    _write_crafted(folder)
    _write_rare(folder)


def _write_crafted(folder: Path) -> None:
    """A few frames with tunnels, quoted headers, both versions of IP, odd bytes and no IP at all, 0.1 s apart."""
    frames = [
        ethernet() / arp(),
        ethernet() / ipv4("10.0.0.1", "10.0.0.2") / udp(9, 4789) / vxlan(7) / ethernet()
        / ipv4("1.2.3.4", "10.0.0.2") / tcp(1, 80, flags="S"),
        ethernet() / ipv4("1.2.3.4", "1.2.3.4") / tcp(300, 80, flags="A") / b"GET / HTTP\r\nhost\0x \xff\xc3\xa9",
        ethernet() / ipv4("10.0.0.1", "10.0.0.9") / udp(80, 80) / b"GeT\nabc",
        ethernet() / ipv4("10.0.0.1", "10.0.0.9") / icmp(11, 0) / ipv4("10.9.0.1", "10.9.0.9") / udp(7, 8),
        ethernet() / ipv6("fe80::1", "fe80::2") / tcp(65535, 1, flags="SA"),
        ethernet() / ipv4("10.0.0.1", "200.0.0.9") / gre(key=8) / ipv4("1.2.3.4", "250.0.0.3") / tcp(5, 6, flags="S"),
    ]  # fmt: skip
    (folder / CRAFTED).write_bytes(pcap([Record(START + n * 10**8, frame) for n, frame in enumerate(frames)]))


def _write_rare(folder: Path) -> None:
    """TCP options, IGMP, odd numbers where an Ethernet type stands; and both versions of Linux cooked captures."""

    def blocks(*edges: int) -> bytes:
        return b"\1\1" + option(5, b"".join(edge.to_bytes(4) for edge in edges))

    def igmp(message: bytes) -> Frame:
        return ethernet() / ipv4("10.0.0.1", "224.0.0.22", protocol=2, ttl=1) / message

    forth, back = ethernet() / ipv4(), ethernet() / ipv4("10.0.0.2", "10.0.0.1")
    report = bytes([0x22, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 1, 224, 1, 1, 1, 9, 9, 9, 9, 4, 0, 0, 0, 224, 1, 1, 2])
    frames = [
        forth / tcp(1000, 80, seq=100, flags="S", options=option(2, b"\5\xb4") + option(4) + b"\1\1"),
        back / tcp(80, 1000, seq=5000, ack=101, flags="SA", options=option(2, b"\5\xb4") + option(4) + b"\1\1"),
        forth / tcp(1000, 80, seq=101, ack=5001, options=blocks(5101, 5201)),
        forth / tcp(1000, 80, seq=101, ack=5001, options=blocks(5301, 5401, 5101, 5201)),
        back / tcp(80, 1000, seq=5001, ack=101, options=blocks(201, 301, 401, 501, 601, 701)),
        igmp(b"\x11\x64\0\0\0\0\0\0"),
        igmp(b"\x16\0\0\0\xe0\0\0\x05"),
        igmp(b"\x17\0\0\0\xe0\1\1\1"),
        igmp(b"\x16\0\0\0"),
        igmp(report),
        igmp(report[:-4]),
        ethernet(ether_type=0) / bytes(46),
        ethernet(ether_type=1500) / bytes(46),
        ethernet(ether_type=1535) / bytes(46),
        ethernet(ether_type=0x600) / bytes(46),
        ethernet() / vlan(1, ether_type=0) / bytes(46),
        ethernet() / vlan(1, ether_type=1501) / bytes(46),
    ]
    (folder / RARE[0]).write_bytes(pcap([Record(START + n * 10**8, frame) for n, frame in enumerate(frames)]))
    cooked, made = ipv4() / udp(1, 2), Pcapng()
    several = made.section() + made.interface(113) + made.interface(276)
    for interface, layer in enumerate((sll, sll2)):
        linked = [layer() / cooked, layer(4) / ipv6() / udp(1, 2), layer(1) / arp(), layer(3, hardware=772) / cooked,
                  layer() / raw(bytes(40), ether_type=0x0004)]  # fmt: skip
        several += b"".join(made.enhanced(frame, interface=interface) for frame in linked)
    (folder / RARE[1]).write_bytes(several)


def compact(numbers: list[int]) -> str:
    """Ascending numbers as 1-4,7; none as -."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "-"
