"""Datagrams of a UDP socket behind a mirror by the kernel's VXLAN device. Oracle: tcpdump beside the socket."""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import spanline
from spanline.lab.network import missing
from tests.datagram_frames import BECOME_NOBODY, frame
from tests.lab.hosts import wait_for
from tests.lab.network import MIRROR_SOURCE, SERVER, TARGETS, Lab

LINUX = sys.platform == "linux"

TAKE = """
import signal, struct, sys
from spanline.chunk import Interfaces
from spanline.sources.datagrams import UdpSource
from spanline.sources.live import LiveOptions
BECOME_NOBODY
one = UdpSource("udp:4789", Interfaces(), LiveOptions())
signal.signal(signal.SIGTERM, lambda *_: one.stop())
print("ready", flush=True)
out = sys.stdout.buffer
out.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 101))
for chunk in one.chunks():
    for time, at, captured, wire, *_ in chunk.records.tolist():
        out.write(struct.pack("=IIII", *divmod(time, 10**9), captured, wire))
        out.write(chunk.buffer[at : at + captured].tobytes())
    out.flush()
print(one.arrivals.offered, one.arrivals.read, one.arrivals.lost, file=sys.stderr)
"""
TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], 8080)) as one:
    one.sendall(b"G" * 100_000)
    one.shutdown(socket.SHUT_WR)
    while one.recv(65536):
        pass
"""
ANSWER = """
import socket
with socket.create_server(("", 8080)) as server:
    one, _ = server.accept()
    with one:
        while one.recv(65536):
            pass
        one.sendall(b"A" * 100_000)
"""


def rows(path: Path) -> list[tuple[int, int, bytes]]:
    return [
        (int(record["timestamp"]), int(record["wire_length"]), frame(batch.buffers[0], record))
        for batch in spanline.open(path)
        for record in batch.records
    ]


@pytest.mark.lab
def test_behind_the_kernels_vxlan_device(tmp_path: Path) -> None:
    """As nobody: the same datagrams as tcpdump sees on the interface, at the same times, and no ICMP says that nobody
    listens. So all that is found in them is the same."""
    if not LINUX or os.geteuid() != 0:
        pytest.skip("network namespaces are made by root")
    if absent := missing("unshare", "nsenter", "ip", "tc", "tcpdump", "bash", "ping"):
        pytest.skip(f"not installed: {', '.join(absent)}")
    taken, beside = tmp_path / "taken.pcap", tmp_path / "beside.pcap"
    with Lab() as lab, taken.open("wb") as output:
        tcpdump = lab.deaf.start(
            *("tcpdump", "-i", "eth0", "-U", "--immediate-mode", "-B", "16384", "--time-stamp-precision=nano"),
            *("-Z", "root", "-w", beside, "udp port 4789 or icmp"),
            stderr=subprocess.PIPE,
        )
        assert tcpdump.stderr is not None
        assert b"listening" in tcpdump.stderr.readline()
        taker = lab.deaf.start(
            sys.executable,
            "-c",
            TAKE.replace("BECOME_NOBODY", BECOME_NOBODY),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ),
        )
        assert taker.stdout is not None
        assert taker.stderr is not None
        assert taker.stdout.readline() == b"ready\n"
        copier = threading.Thread(target=shutil.copyfileobj, args=(taker.stdout, output))
        copier.start()
        server = lab.server.start(sys.executable, "-c", ANSWER)
        wait_for("the server", lambda: lab.server.listens("tcp", 8080))
        with lab.mirror(to="deaf"):
            lab.client.run("ping", "-c", "5", "-i", "0.01", "-s", "300", SERVER)
            lab.client.run(sys.executable, "-c", TALK, SERVER)
            server.wait(30)
            time.sleep(0.3)
        lab.deaf.stop(taker)
        copier.join()
        lab.deaf.stop(tcpdump)
        account = [int(number) for number in taker.stderr.read().split()]
        assert b"0 packets dropped by kernel" in tcpdump.stderr.read()
        for stream in taker.stdout, taker.stderr, tcpdump.stderr:
            stream.close()
    seen, wanted = rows(taken), rows(beside)
    assert len(seen) > 100
    assert account == [len(seen), len(seen), 0]
    # Without the Ethernet header.
    assert [(wire, data[28:]) for _, wire, data in seen] == [(wire - 14, data[42:]) for _, wire, data in wanted]
    # The kernel notes the time of TCP's frames of the same machine once more, as they carry another clock until then.
    late = [mine - other for (mine, *_), (other, *_) in zip(seen, wanted, strict=True)]
    assert min(late) == 0
    assert {difference for difference, (*_, data) in zip(late, seen, strict=True) if data[59] == 1} == {0}
    assert {data[12:22] + data[22:24] for _, _, data in seen} <= {data[26:38] for _, _, data in wanted}
    ends = ipaddress.ip_address(MIRROR_SOURCE).packed + ipaddress.ip_address(TARGETS["deaf"]).packed
    assert {data[12:20] for _, _, data in seen} == {ends}
    assert sum(b"G" * 100 in data for _, _, data in seen) > 10
