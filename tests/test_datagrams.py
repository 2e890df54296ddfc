"""Datagrams of a UDP socket as frames.

Oracles: the headers of tests/craft.py; what was sent, counted.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import spanline
from spanline import _datagrams
from spanline.batch import Decode
from spanline.chunk import Chunk, Interfaces
from spanline.errors import CaptureError, UsageError
from spanline.sources import datagrams
from spanline.sources.datagrams import UdpSource
from spanline.sources.live import TICK, LiveOptions
from tests.craft import Frame, ethernet, ipv4, tcp
from tests.craft_tunnels import geneve, vxlan
from tests.datagram_frames import BECOME_NOBODY, crafted, frame

LINUX = sys.platform == "linux"
INNER = ethernet() / ipv4("10.1.0.1", "10.1.0.2") / tcp(50123, 443, seq=7, flags="S")


@pytest.fixture(params=["many at a time", "one at a time"])
def receiver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What there is on Linux, and what there is everywhere."""
    if request.param == "one at a time":
        monkeypatch.setattr(_datagrams, "HAS_RECEIVER", False)
    elif not _datagrams.HAS_RECEIVER:
        pytest.skip("no recvmmsg here")
    return str(request.param)


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.bind(("::", 0))
        return int(one.getsockname()[1])


@contextmanager
def source(address: str = "", **options: object) -> Iterator[UdpSource]:
    made = UdpSource(f"udp:{address}{free_port()}", Interfaces(), LiveOptions(**options))  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


@contextmanager
def sender(to: str, port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect((to, port))
        yield one


def received(one: UdpSource) -> list[tuple[bytes, int]]:
    """Frames and their wire lengths, of what has come."""
    one.stop()
    return [(frame(c.buffer, r), int(r["wire_length"])) for c in one.chunks() for r in c.records]


@pytest.mark.parametrize(
    ("bound", "to"), [("", "127.0.0.1"), ("", "::1"), ("127.0.0.1:", "127.0.0.1"), ("[::1]:", "::1")]
)
def test_what_is_sent_is_received(receiver: str, bound: str, to: str) -> None:
    data = [bytes([n % 256]) * size for n, size in enumerate([0, 1, 2, 63, 1472, 1473, 9000, 65507, 3] + 200 * [100])]
    with source(bound) as one, sender(to, one.vxlan_port) as out:
        for piece in data:
            out.send(piece)
        ports = out.getsockname()[1], one.vxlan_port
        # Which address of ours it was is not known everywhere.
        there = to if receiver == "many at a time" or bound else {"::1": "::", "127.0.0.1": "0.0.0.0"}[to]
        assert received(one) == [(whole, len(whole)) for whole in (crafted(to, there, p, ports) for p in data)]
        assert (one.arrivals.offered, one.arrivals.read, one.arrivals.lost) == (len(data), len(data), 0)


def test_frames_are_those_of_a_tunnel() -> None:
    """Of a port that is not VXLAN's, too: the source says which it is."""
    with source() as one, sender("127.0.0.1", one.vxlan_port) as out:
        out.send(bytes(vxlan(77) / INNER))
        out.send(b"request")
        one.stop()
        batches = [Decode(vxlan_port=[4789, one.vxlan_port])(chunk) for chunk in one.chunks()]
    (batch,) = batches
    paths = [batch.paths[path] for path in batch.packets["path"]]
    assert paths == [("raw", "ip", "udp", "vxlan", "eth", "ip", "tcp"), ("raw", "ip", "udp")]
    assert batch.tunnels["id"].tolist() == [77]
    assert batch.tunnels["destination_port"].tolist() == [one.vxlan_port]
    assert batch.packets["destination_port"].tolist() == [443, one.vxlan_port]


@pytest.mark.parametrize(
    ("port", "ports", "wrapped", "protocol"),
    [
        (6081, {}, geneve(77), "geneve"),
        (0, {"geneve_port": (6081, 0)}, geneve(77), "geneve"),
        (0, {}, vxlan(77), "vxlan"),
        (6081, {"geneve_port": ()}, vxlan(77), "vxlan"),
    ],
)
def test_which_tunnel_a_port_has(port: int, ports: dict[str, tuple[int, ...]], wrapped: Frame, protocol: str) -> None:
    """GENEVE at its own port and at those that were chosen for it, VXLAN at all others; 0 is a free one."""
    free = port or free_port()
    chosen = {name: [one or free for one in of] for name, of in ports.items()}
    capture = spanline.open(f"udp:127.0.0.1:{free}", duration=10.0, **chosen)
    capture.open()
    with sender("127.0.0.1", free) as out:
        out.send(bytes(wrapped / INNER))
    capture.stop()
    (found,) = (batch.paths[path] for batch in capture for path in batch.packets["path"])
    assert found == ("raw", "ip", "udp", protocol, "eth", "ip", "tcp")


@pytest.mark.skipif(not LINUX, reason="elsewhere times are those of reading")
def test_times_are_those_of_coming() -> None:
    with source() as one, sender("127.0.0.1", one.vxlan_port) as out:
        # The kernel begins to note times a moment after the first socket has asked for them.
        time.sleep(0.1)
        before = time.time_ns()
        out.send(b"1")
        between = time.time_ns()
        time.sleep(0.2)
        out.send(b"2")
        one.stop()
        chunks = list(one.chunks())
    first, second = (int(time) for chunk in chunks for time in chunk.records["timestamp"])
    assert before <= first <= between
    assert second - first >= 200_000_000
    assert second <= (chunks[-1].clock or 0) <= time.time_ns()


def test_snaplen(receiver: str) -> None:
    with source("127.0.0.1:", snaplen=100) as one, sender("127.0.0.1", one.vxlan_port) as out:
        out.send(bytes(1000))
        out.send(bytes(72))
        assert [(len(data), wire) for data, wire in received(one)] == [(100, 1028), (100, 100)]


def test_many_chunks_of_large_datagrams(receiver: str) -> None:
    """What was taken from the kernel and has no room in a chunk stands in the next one."""
    with source(block_bytes=1, blocks=1 << 26) as one, sender("127.0.0.1", one.vxlan_port) as out:
        for n in range(20):
            out.send(bytes([n]) * 60_000)
        one.stop()
        chunks = list(one.chunks())
        got = [frame(chunk.buffer, r)[-1] for chunk in chunks for r in chunk.records]
        assert got == list(range(len(got)))
        assert len(got) + one.arrivals.lost == 20
        assert len(chunks) >= len(got) // 2


@pytest.mark.skipif(not LINUX, reason="elsewhere nobody tells what was lost")
@pytest.mark.parametrize("lost_last", [False, True])
def test_every_datagram_is_read_or_counted(lost_last: bool) -> None:
    """Sending on the loopback is also receiving: nothing is on its way when send() has returned.

    Also what is lost after the last datagram that is read, of which no later datagram can tell.
    """
    with source(block_bytes=4096, blocks=1) as one, sender("127.0.0.1", one.vxlan_port) as out:
        sent = 0
        chunks = one.chunks()
        for burst in 3, 5000, 1, 777:
            for _ in range(burst):
                out.send(bytes(500))
            sent += burst
            if burst != 777:
                next(chunks)
        if not lost_last:
            next(chunks)
            out.send(b"last")
            sent += 1
        one.stop()
        for _ in chunks:
            pass
        assert one.arrivals.dropped["ring"] > 5000
        assert one.arrivals.offered == one.arrivals.read + one.arrivals.lost == sent


@pytest.mark.skipif(not LINUX, reason="the counter is Linux'")
def test_the_counter_of_the_kernel_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter([2**32 - 6, 4, 4, 2**31, 1, 1])
    with source() as one:
        monkeypatch.setattr(one, "_memory", lambda: (*[0] * 8, next(said)))
        counts = []
        for _ in range(5):
            one.refresh()
            counts.append(one.arrivals.dropped["ring"])
    assert counts == [2**32 - 6, 2**32 + 4, 2**32 + 4, 2**32 + 2**31, 2**33 + 1]
    assert one.arrivals.offered == 2**33 + 1


def test_an_idle_socket_ticks_until_its_time_is_over(receiver: str) -> None:
    with source(duration=2.6 * TICK) as one:
        started = time.monotonic()
        chunks = list(one.chunks())
        assert 2.6 * TICK <= time.monotonic() - started < 2.6 * TICK + 5
    assert [len(chunk.records) for chunk in chunks] == [0] * len(chunks)
    assert 2 <= len(chunks) <= 4
    clocks = [chunk.clock or 0 for chunk in chunks]
    assert clocks == sorted(clocks)
    assert clocks[-1] <= time.time_ns()


@pytest.mark.parametrize("how", ["thread", "signal"])
def test_stop(how: str) -> None:
    """While it waits, and while a sender goes on."""
    for is_busy in False, True:
        with source("127.0.0.1:") as one, sender("127.0.0.1", one.vxlan_port) as out:
            over = threading.Event()
            flood = threading.Thread(target=_send_until, args=(out, over))
            if how == "signal":
                before = signal.signal(signal.SIGUSR1, lambda *_: one.stop())
                asked = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
            else:
                asked = threading.Timer(0.3, one.stop)
            if is_busy:
                flood.start()
            try:
                asked.start()
                started = time.monotonic()
                count = sum(len(chunk.records) for chunk in one.chunks())
                assert time.monotonic() - started < 2
            finally:
                over.set()
                asked.join()
                if is_busy:
                    flood.join()
                if how == "signal":
                    signal.signal(signal.SIGUSR1, before)
            assert one.arrivals.read == count
            assert (count > 0) == is_busy


def _send_until(out: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        out.send(bytes(100))


# --- what is refused


@pytest.mark.parametrize(
    "name",
    ["udp:", "udp:x", "udp:0", "udp:65536", "udp:123456", "udp:-1", "udp:٤", "udp:1:2:3", "udp:::1:4789",
     "udp:[::1:4789", "udp:[]:4789", "udp::4789", "udp:4789 ", "udp:10.0.0.1"],
)  # fmt: skip
def test_wrong_names(name: str) -> None:
    with pytest.raises(UsageError, match=r"is no port; write \[ADDRESS:\]PORT"):
        UdpSource(name, Interfaces(), LiveOptions())


def test_a_port_that_is_taken() -> None:
    with source() as one, pytest.raises(CaptureError, match=rf"port {one.vxlan_port} is taken; a VXLAN device"):
        UdpSource(one.name, Interfaces(), LiveOptions())


def test_an_address_of_another_machine() -> None:
    with pytest.raises(CaptureError, match=r"this machine has no address 192\.0\.2\.1; leave it out"):
        UdpSource("udp:192.0.2.1:4789", Interfaces(), LiveOptions())


@pytest.mark.skipif(not LINUX, reason="the limit is Linux'")
def test_a_buffer_that_is_not_granted_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
    monkeypatch.setattr(datagrams, "_SO_RCVBUFFORCE", socket.SO_RCVBUF)
    with source(block_bytes=limit // 2, blocks=1) as one:
        assert one.warnings == []
    with source(block_bytes=limit, blocks=3) as one:
        assert one.warnings == [
            f"{one.name}: the socket's buffer is {limit >> 10:,} KiB of the {3 * limit >> 10:,} KiB asked for: bursts "
            f"may be lost, and are counted (sudo sysctl -w net.core.rmem_max={3 * limit}, or CAP_NET_ADMIN)"
        ]


PRIVILEGED = """
from spanline.chunk import Interfaces
from spanline.sources.datagrams import UdpSource
from spanline.sources.live import LiveOptions
BECOME_NOBODY
try:
    UdpSource("udp:514", Interfaces(), LiveOptions())
except Exception as error:
    print(error)
"""


def test_ports_of_the_system() -> None:
    lowest = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if lowest.exists() and int(lowest.read_text()) <= 514:
        pytest.skip("everybody may listen on all ports here")
    if not LINUX or os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    command = [sys.executable, "-c", PRIVILEGED.replace("BECOME_NOBODY", BECOME_NOBODY)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    assert said == (
        "udp:514: you may not listen on a port below 1024; take a higher one, or allow it: CAP_NET_BIND_SERVICE\n"
    )


def test_a_chunk_is_kept_as_long_as_it_is_held() -> None:
    with source("127.0.0.1:") as one, sender("127.0.0.1", one.vxlan_port) as out:
        chunks: list[Chunk] = []
        reading = one.chunks()
        for n in range(30):
            out.send(bytes([n]))
            chunks.append(next(reading))
        assert [frame(c.buffer, r)[-1] for c in chunks for r in c.records] == list(range(30))
