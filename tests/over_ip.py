"""A capture to be sent over TCP in several formats, and connections for it."""

from __future__ import annotations

import gzip
import socket

import spanline
from tests.craft import ethernet, ipv4, udp
from tests.craft_files import START, STEP, Pcapng, Record, pcap
from tests.lab.hosts import wait_for

NG = Pcapng()
COUNT = 500
FRAMES = [Record(START + n * STEP, ethernet() / ipv4(identification=n) / udp() / bytes(n)) for n in range(COUNT)]
HEADER = NG.section() + NG.interface()
BLOCKS = [NG.enhanced(one.frame, one.time) for one in FRAMES]
FILES = {"pcap": pcap(FRAMES), "pcapng": NG.file(FRAMES), "gzip": gzip.compress(pcap(FRAMES))}


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as one:
        one.bind((address, 0))
        return int(one.getsockname()[1])


def identifications(name: str) -> tuple[list[int], list[str]]:
    capture = spanline.open(name)
    numbers = [number for batch in capture for number in batch.packets["ip_id"].tolist()]
    return numbers, [str(problem) for problem in capture.problems]


def connected(port: int) -> socket.socket:
    found: list[socket.socket] = []

    def attempt() -> bool:
        try:
            found.append(socket.create_connection(("127.0.0.1", port)))
        except ConnectionRefusedError:
            return False
        return True

    wait_for("a listener", attempt)
    return found[0]
