"""The application protocol of flows. Truth: what each crafted conversation begins with (RFC 4253 section 4.2, RFC 9112
section 2.1, RFC 5321 section 4.2, BEP 3, [MS-RDPBCGR] section 2.2.1.1, RFC 1035), and ports as IANA and Wireshark
assign them."""

from __future__ import annotations

from pathlib import Path

import pytest

import spanline
from spanline.stages.flows import Flows
from tests.craft import ethernet, ipv4, tcp, udp
from tests.craft_files import START, Record, pcap

SSH, HTTP = b"SSH-2.0-OpenSSH_9.2\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TLS = bytes.fromhex("16030100050100000100")
DNS = bytes.fromhex("1234010000010000000000000161000001 0001")
NOTHING = bytes(range(200, 240))
RDP = bytes.fromhex("0300001f1ae00000000000") + b"Cookie: mstshash=a\r\n"
BITTORRENT = b"\x13BitTorrent protocol" + bytes(48)


def conversation(port: int, *payloads: tuple[str, bytes], transport: str = "tcp") -> list[Record]:
    """Payloads by "c"lient and "s"erver, in order, a ms apart."""
    made = []
    for n, (side, payload) in enumerate(payloads):
        ends = ("10.0.0.1", "10.0.0.2") if side == "c" else ("10.0.0.2", "10.0.0.1")
        ports = (50000, port) if side == "c" else (port, 50000)
        header = tcp(*ports, seq=1 + 1000 * n, flags="PA") if transport == "tcp" else udp(*ports)
        made.append(Record(START + n * 10**6, ethernet() / ipv4(*ends) / header / payload))
    return made


def found(path: Path, records: list[Record]) -> tuple[str | None, bool | None]:
    path.write_bytes(pcap(records))
    flows = Flows()
    for _ in spanline.open(path).run(flows):
        pass
    [row] = flows.tables()["flows"].select(["application", "foreign_port"]).to_pylist()
    return row["application"], row["foreign_port"]


@pytest.mark.parametrize(
    ("port", "payloads", "expected"),
    [
        (22, [("s", SSH), ("c", SSH)], ("ssh", False)),
        (2222, [("s", SSH), ("c", SSH)], ("ssh", True)),
        (80, [("s", SSH), ("c", SSH)], ("ssh", True)),
        (80, [("c", HTTP)], ("http", False)),
        (8001, [("c", HTTP)], ("http", True)),
        (443, [("c", TLS)], ("tls", False)),
        (8443, [("c", TLS)], ("tls", True)),
        (443, [("c", HTTP)], ("http", True)),
        (6881, [("c", BITTORRENT)], ("bittorrent", False)),
        (51413, [("c", BITTORRENT)], ("bittorrent", True)),
        (3389, [("c", RDP)], ("rdp", False)),
        (3390, [("c", RDP)], ("rdp", True)),
        # Nothing tells what it is but the port.
        (443, [("c", NOTHING)], ("tls", False)),
        (40000, [("c", NOTHING)], (None, None)),
        # The first side says nothing, the second does.
        (40000, [("c", NOTHING), ("s", b"220 mail.example ESMTP Postfix\r\n")], ("smtp", True)),
        (40000, [("s", b"220 ProFTPD FTP Server ready\r\n"), ("c", NOTHING)], ("ftp", True)),
        # What stands later, or in another line, is no beginning.
        (40000, [("c", NOTHING), ("c", SSH)], (None, None)),
        (40000, [("c", b"hello\n" + SSH)], (None, None)),
        (40000, [("c", b"hello")], (None, None)),
    ],
)
def test_what_a_conversation_begins_with(
    port: int, payloads: list[tuple[str, bytes]], expected: tuple[str | None, bool | None], tmp_path: Path
) -> None:
    assert found(tmp_path / "a.pcap", conversation(port, *payloads)) == expected


def test_datagrams(tmp_path: Path) -> None:
    assert found(tmp_path / "a.pcap", conversation(53, ("c", DNS), transport="udp")) == ("dns", False)
    assert found(tmp_path / "b.pcap", conversation(40000, ("c", NOTHING), transport="udp")) == (None, None)


def test_more_conversations_at_once_than_heads_are_kept(tmp_path: Path) -> None:
    """70,000 flows whose beginnings wait for patterns, in few batches: none is lost, in records that live or ended."""
    records = []
    for n in range(70_000):
        client = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
        payload = SSH if n % 7 == 0 else b"x" * 20
        frame = ethernet() / ipv4(client, "192.0.2.1") / tcp(50000, 40000, seq=1, flags="PA") / payload
        records.append(Record(START + n, frame))
    path = tmp_path / "many.pcap"
    path.write_bytes(pcap(records, nanoseconds=True))
    flows = Flows(memory=1 << 24)
    names = []
    for _ in spanline.open(path, threads=2).run(flows):
        names += flows.drain()["flows"].column("application").to_pylist()
    names += flows.tables()["flows"].column("application").to_pylist()
    assert flows.evicted > 0
    assert (len(names), names.count("ssh"), names.count(None)) == (70_000, 10_000, 60_000)
