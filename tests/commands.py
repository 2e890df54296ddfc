"""Calling spanline's commands in tests, and captures to call them with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from spanline.cli.group import spanline as command_line
from tests.craft import Frame, arp, ethernet, ipv4, ipv6, tcp, udp
from tests.craft_files import START, Record, pcap
from tests.craft_tunnels import vxlan

PROGRAM = [sys.executable, "-c", "from spanline.cli import main; main()"]


def run(*arguments: str | Path, width: int | None = None, code: int = 0) -> Result:
    """Calls a command in this process, as a pipe would see it, or a screen of `width` columns."""
    environment = {"COLUMNS": None if width is None else str(width)}
    result = CliRunner().invoke(command_line, [str(one) for one in arguments], env=environment)
    assert result.exit_code == code, f"{result.output}{result.exception!r}"
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def spawn(*arguments: str | Path, **others: Any) -> subprocess.CompletedProcess[bytes]:
    """Calls a command in a process of its own."""
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, timeout=60, **others)


def handshake(client: str = "10.0.0.1", server: str = "10.0.0.2", vni: int | None = None) -> list[Record]:
    """SYN, SYN-ACK after 1.5 ms, ACK after 0.25 ms more."""
    ip = ipv6 if ":" in client else ipv4
    frames = [
        (0, ip(client, server) / tcp(50123, 443, seq=7, flags="S")),
        (1_500_000, ip(server, client) / tcp(443, 50123, seq=70, ack=8, flags="SA")),
        (1_750_000, ip(client, server) / tcp(50123, 443, seq=8, ack=71)),
    ]
    outer = Frame() if vni is None else ethernet() / ipv4() / udp(50000, 4789) / vxlan(vni)
    return [Record(START + time, outer / ethernet() / frame) for time, frame in frames]


def question(at: int = 10**9, port: int = 53000) -> Record:
    """A datagram to port 53, `at` ns after the start."""
    return Record(START + at, ethernet() / ipv4() / udp(port, 53) / b"question")


def whole_capture(folder: Path) -> Path:
    """A handshake, a datagram and an ARP request."""
    path = folder / "capture.pcap"
    path.write_bytes(pcap([*handshake(), question(), Record(START + 2 * 10**9, ethernet() / arp())], nanoseconds=True))
    return path


def cut_capture(folder: Path) -> Path:
    """The same, cut in the middle of the last record."""
    path = folder / "cut.pcap"
    path.write_bytes(whole_capture(folder).read_bytes()[:-5])
    return path


def many_flows(folder: Path, count: int) -> Path:
    """As many datagrams, each from another port."""
    path = folder / "many.pcap"
    path.write_bytes(pcap([question(n * 1000, 1024 + n) for n in range(count)]))
    return path
