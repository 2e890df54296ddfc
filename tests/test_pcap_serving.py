"""Serving captures over TCP (PCAP-over-IP).

Oracles: the frames that are served, as each client has got them, and tshark as client (TCP@…).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spanline import serving
from spanline.errors import OutputError, UsageError
from spanline.serving import PcapServer
from tests.lab.hosts import wait_for
from tests.over_ip import BLOCKS, HEADER, NG, connected, free_port, identifications

pytestmark = pytest.mark.skipif(os.name != "posix", reason="captures over TCP are read on POSIX systems")


class Lines(list[str]):
    """What a server says."""

    def wait(self, part: str) -> None:
        wait_for(part, lambda: any(part in line for line in self))


@contextmanager
def server(address: str = "127.0.0.1:") -> Iterator[tuple[PcapServer, int, Lines]]:
    lines = Lines()
    port = free_port()
    made = PcapServer(f"{address}{port}", lines.append)
    try:
        yield made, port, lines
    finally:
        made.close()


def test_each_client_gets_a_file_of_its_own() -> None:
    """Who comes later gets later frames."""
    outcome: dict[int, tuple[list[int], list[str]]] = {}
    with server() as (serves, port, lines):

        def read(number: int) -> None:
            outcome[number] = identifications(f"tcp:127.0.0.1:{port}")

        serves.declare(HEADER)
        serves.write(BLOCKS[0])  # nobody is there yet
        readers = []
        for number in range(3):
            readers.append(threading.Thread(target=read, args=(number,)))
            readers[-1].start()
            wait_for("a client", lambda wanted=number: sum("connected" in line for line in lines) > wanted)
            for block in BLOCKS[1 + number * 100 : 101 + number * 100]:
                serves.write(block)
    for reader in readers:
        reader.join()
    assert outcome == {number: (list(range(1 + number * 100, 301)), []) for number in range(3)}


def test_interfaces_that_come_later_are_declared_to_all() -> None:
    with server() as (serves, port, lines):
        serves.declare(HEADER)
        first = connected(port)
        lines.wait("connected")
        serves.declare(NG.interface(101))
        second = connected(port)
        wait_for("both", lambda: len(lines) == 2)
        serves.write(BLOCKS[5])
    for one in first, second:
        with one:
            assert everything(one) == HEADER + NG.interface(101) + BLOCKS[5]


def everything(one: socket.socket) -> bytes:
    got = b""
    while more := one.recv(1 << 16):
        got += more
    return got


def test_tshark_is_a_client(tmp_path: Path) -> None:
    if not shutil.which("tshark"):
        pytest.skip("no tshark")
    with server() as (serves, port, lines):
        serves.declare(HEADER)
        command = ["tshark", "-n", "-i", f"TCP@127.0.0.1:{port}", "-c", "50", "-T", "fields", "-e", "ip.id"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tshark:
            try:
                lines.wait("connected")
                for block in BLOCKS[:50]:
                    serves.write(block)
                assert tshark.stdout is not None
                assert [int(line, 16) for line in tshark.stdout] == list(range(50))
                assert tshark.wait(30) == 0
            finally:
                tshark.kill()


def test_a_client_that_has_said_its_last_is_served() -> None:
    """As programs do that have nothing to send; and who sends something is served too."""
    with server() as (serves, port, lines):
        serves.declare(HEADER)
        client, chatty = connected(port), connected(port)
        wait_for("both", lambda: len(lines) == 2)
        client.shutdown(socket.SHUT_WR)
        chatty.sendall(b"GET / HTTP/1.1\r\n\r\n" * 1000)
        time.sleep(0.2)
        serves.write(BLOCKS[7])
    for one in client, chatty:
        with one:
            assert everything(one) == HEADER + BLOCKS[7]


def test_a_client_that_goes_is_told() -> None:
    with server() as (serves, port, lines):
        serves.declare(HEADER)
        client = connected(port)
        lines.wait("connected")
        client.close()
        for block in BLOCKS:
            serves.write(block)
            time.sleep(0.001)
        lines.wait("gone")
        with connected(port) as another:
            wait_for("another", lambda: len(lines) == 3)
            serves.write(BLOCKS[1])
            assert another.recv(1) == HEADER[:1]


def test_a_slow_client_is_cut_off_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "QUEUE_BYTES", 1 << 20)
    with server() as (serves, port, lines):
        serves.declare(HEADER)
        slow, quick = connected(port), connected(port)
        wait_for("both", lambda: len(lines) == 2)
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(everything(quick)))
        reader.start()
        block = NG.enhanced(bytes(60_000))
        sent = 0
        while len(lines) == 2:
            serves.write(block)
            sent += 1
            time.sleep(0.001)
        host, number = slow.getsockname()
        assert lines[2].startswith(f"{host}:{number}: cut off, as it does not keep up: ")
        serves.write(BLOCKS[9])
    reader.join()
    assert got == [HEADER + sent * block + BLOCKS[9]]
    slow.close()
    quick.close()


def test_writing_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that serves is held up; who captures goes on, and memory does not grow."""
    monkeypatch.setattr(serving, "QUEUE_BYTES", 1 << 20)
    held, hold = threading.Event(), threading.Event()

    def report(line: str) -> None:
        if "connected" in line:
            held.set()
            assert hold.wait(30)

    serves = PcapServer(f"127.0.0.1:{free_port()}", report)
    try:
        serves.declare(HEADER)
        client = connected(int(serves.address.rpartition(":")[2]))
        assert held.wait(30)
        for _ in range(1000):
            serves.write(bytes(100_000))
        assert serves._clients[0].waiting <= 1 << 20
    finally:
        hold.set()
        serves.close()
        client.close()


def test_closing_waits_for_clients_a_moment_only() -> None:
    lines = Lines()
    serves = PcapServer(f"127.0.0.1:{free_port()}", lines.append)
    serves.declare(HEADER)
    client = connected(int(serves.address.rpartition(":")[2]))
    lines.wait("connected")
    for _ in range(15):
        serves.write(bytes(1 << 20))
    started = time.monotonic()
    serves.close(patience=0.3)
    assert 0.2 < time.monotonic() - started < 10
    client.close()


CROWDED = """
import os, resource, socket, sys, time
from spanline.serving import PcapServer
lines, port = [], int(sys.argv[1])
def wait(count):
    while len(lines) < count:
        time.sleep(0.01)
serves = PcapServer(sys.argv[1], lines.append)
serves.declare(b"header")
first, second = socket.socket(), socket.socket()
first.connect(("127.0.0.1", port))
wait(1)
lowest_free = os.dup(0)
os.close(lowest_free)
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
second.connect(("127.0.0.1", port))
wait(2)
first.close()
while len(lines) < 4:
    serves.write(b"frame")
    time.sleep(0.01)
print(*(line.partition(": ")[2] for line in lines), second.recv(6), sep="\\n")
serves.close()
"""


def test_more_clients_than_files_may_be_open() -> None:
    """There is room again when one has gone."""
    done = subprocess.run(
        [sys.executable, "-c", CROWDED, str(free_port())], capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert done.stderr == ""
    told = ["connected", "nobody more is let in (too many open files)", "gone", "connected", "b'header'"]
    assert done.stdout.splitlines() == told


@pytest.mark.parametrize(("address", "warned"), [("", 0), ("[::1]:", 0), ("0.0.0.0:", 1), ("[::]:", 1)])
def test_who_opens_a_port_to_the_world_is_warned(address: str, warned: int) -> None:
    with server(address) as (serves, port, lines):
        assert serves.address == f"{address or '127.0.0.1:'}{port}"
        said = f"{serves.address}: whoever reaches this port gets every frame: no password, no encryption"
        assert lines == [said] * warned


def test_what_cannot_be_served() -> None:
    with server() as (_, port, _), pytest.raises(OutputError, match=f"--serve {port}: port {port} is taken"):
        PcapServer(str(port), print)
    with pytest.raises(UsageError, match="--serve: 'x' is no port"):
        PcapServer("x", print)
