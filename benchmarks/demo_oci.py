"""Write a small capture as the target of an OCI VTAP makes it: pings, then a telnet login, all inside VXLAN.

    python benchmarks/demo_oci.py oci.pcap
    python benchmarks/demo_oci.py --ingress oci-ingress.pcap

The server 10.0.1.2 is mirrored to 10.0.1.3. A client, 10.0.0.5, pings it five times and logs in with telnet, one key a
packet. Nobody listens on UDP 4789 of the target, whose kernel answers once a second that the port is unreachable, with
the beginning of what it got. With --ingress the VTAP's filter includes only what arrives at the server. The capture is
the same, byte for byte, every time. The user and the password are invented.
"""

from __future__ import annotations

import argparse
import random
import struct
from dataclasses import dataclass
from os import PathLike

from demo import (
    ICMP,
    LEGACY,
    MIRROR_SOURCE,
    MIRROR_TARGET,
    Mirror,
    internet_checksum,
    ipv4_frame,
    ping,
    use_telnet,
)  # fmt: skip

CLIENT, VNI = "10.0.0.5", 77
# Linux answers as much as fits into 576 bytes with both headers, and one source no more than once a second.
QUOTED_BYTES, QUOTE_INTERVAL = 548, 1.0
ETHERNET_BYTES = 14


@dataclass
class Target(Mirror):
    """Collects what arrives at the target of the VTAP, and what it answers."""

    only_ingress: bool = False
    answered: float = -QUOTE_INTERVAL

    def packet(self, now: float, vni: int, source: str, destination: str, protocol: int, payload: bytes) -> None:
        if self.only_ingress and destination != LEGACY.address:
            return
        super().packet(now, vni, source, destination, protocol, payload)
        if now - self.answered >= QUOTE_INTERVAL:
            self.answered = now
            self.refuse(now + 0.00002, self.frames[-1][1])

    def refuse(self, now: float, frame: bytes) -> None:
        """ICMP: port unreachable (RFC 792)."""
        quoted = bytes(4) + frame[ETHERNET_BYTES : ETHERNET_BYTES + QUOTED_BYTES]
        checksum = internet_checksum(bytes([3, 3, 0, 0]) + quoted)
        message = struct.pack(">BBH", 3, 3, checksum) + quoted
        self.frames.append((now, ipv4_frame(MIRROR_TARGET, MIRROR_SOURCE, ICMP, len(self.frames) & 0xFFFF, message)))


def write_demo(path: str | PathLike[str], only_ingress: bool = False, seed: int = 1) -> int:
    """Write the capture to `path`; return the number of frames."""
    target = Target(random.Random(seed), only_ingress=only_ingress)
    ping(target, VNI, CLIENT, LEGACY, 0.0, 5, 300)
    use_telnet(target, VNI, CLIENT, 12.0, "opc", "not-a-real-password")
    return target.write(path)


def main() -> None:
    """Write the capture where the command line says."""
    parser = argparse.ArgumentParser(description="Write a capture as the target of an OCI VTAP would.")
    parser.add_argument("path", help="the pcap file to write")
    parser.add_argument("--ingress", action="store_true", help="only what arrives at the server")
    arguments = parser.parse_args()
    print(f"{write_demo(arguments.path, arguments.ingress)} frames written to {arguments.path}")


if __name__ == "__main__":
    main()
