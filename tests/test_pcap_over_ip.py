"""Captures that come over TCP (PCAP-over-IP). Oracles: the frames that are sent; tcpdump as sender."""

from __future__ import annotations

import bisect
import itertools
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import spanline
from spanline.errors import CaptureError, UsageError
from spanline.sources import pcap_over_ip
from tests.commands import spawn
from tests.lab.hosts import wait_for
from tests.over_ip import BLOCKS, COUNT, FILES, FRAMES, HEADER, connected, free_port, identifications

pytestmark = pytest.mark.skipif(os.name != "posix", reason="captures over TCP are read on POSIX systems")


@contextmanager
def sending(act: Callable[[socket.socket], None], address: str = "127.0.0.1") -> Iterator[int]:
    """A server that does something with the first who connects. Gives its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def serve() -> None:
        one, _ = server.accept()
        with one:
            act(one)

    with socket.create_server((address, 0), family=family) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize(
    ("name", "address"),
    [("tcp:127.0.0.1:{}", "127.0.0.1"), ("TCP@127.0.0.1:{}", "127.0.0.1"), ("tcp:localhost:{}", "127.0.0.1"),
     ("tcp:[::1]:{}", "::1")],
)  # fmt: skip
def test_connecting(name: str, address: str, format: str) -> None:
    with sending(lambda one: one.sendall(FILES[format]), address) as port:
        assert identifications(name.format(port)) == (list(range(COUNT)), [])


def test_pieces_of_any_size() -> None:
    def trickle(one: socket.socket) -> None:
        data = FILES["pcapng"][:30_000]
        for at in range(0, len(data), 997):
            one.sendall(data[at : at + 997])
            time.sleep(0.001)

    with sending(trickle) as port:
        numbers, problems = identifications(f"tcp:127.0.0.1:{port}")
    ends = list(itertools.accumulate(map(len, BLOCKS), initial=len(HEADER)))
    assert numbers == list(range(bisect.bisect_right(ends, 30_000) - 1))
    assert len(problems) == 1
    assert "truncated in the middle of a record" in problems[0]


def test_frames_come_while_the_sender_goes_on() -> None:
    seen = threading.Event()

    def halves(one: socket.socket) -> None:
        one.sendall(FILES["pcap"][: 24 + 16 + len(FRAMES[0].frame)])
        assert seen.wait(30)
        one.sendall(FILES["pcap"][24 + 16 + len(FRAMES[0].frame) :])

    with sending(halves) as port:
        numbers = []
        for batch in spanline.open(f"tcp:127.0.0.1:{port}"):
            numbers += batch.packets["ip_id"].tolist()
            seen.set()
    assert numbers == list(range(COUNT))


@pytest.mark.parametrize("format", ["pcap", "gzip"])
def test_a_connection_that_breaks_is_a_problem(format: str) -> None:
    """What was whole has been read."""
    half = FILES[format][: len(FILES[format]) // 2]
    seen = threading.Event()

    def break_off(one: socket.socket) -> None:
        one.sendall(half)
        assert seen.wait(30)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with sending(break_off) as port:
        capture = spanline.open(f"tcp:127.0.0.1:{port}")
        numbers = []
        for batch in capture:
            numbers += batch.packets["ip_id"].tolist()
            seen.set()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 100
    (problem,) = capture.problems
    assert (problem.kind, problem.path) == ("truncated", f"tcp:127.0.0.1:{port}")
    assert problem.what == "the connection broke (connection reset by peer)"
    assert problem.hint == f"{len(numbers)} whole frames before it were read"


def test_waiting_for_a_sender() -> None:
    """The first who comes is the only one."""
    port = free_port()
    outcome: list[tuple[list[int], list[str]]] = []
    reader = threading.Thread(target=lambda: outcome.append(identifications(f"tcp-listen:{port}")))
    reader.start()
    sender = connected(port)
    wait_for("the door to close", lambda: not can_connect(port))
    with sender:
        sender.sendall(FILES["pcapng"])
    reader.join()
    assert outcome == [(list(range(COUNT)), [])]


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionError:
        return False
    return True


def test_waiting_is_told() -> None:
    port, told = free_port(), threading.Event()
    capture = spanline.open(f"tcp-listen:127.0.0.1:{port}")
    capture.on_wait = lambda name, seconds: told.set()
    counts: list[int] = []
    reader = threading.Thread(target=lambda: counts.append(len(capture.packets())))
    reader.start()
    assert told.wait(30)
    with connected(port) as sender:
        sender.sendall(FILES["pcap"])
    reader.join()
    assert counts == [COUNT]


def test_nobody_else_can_send_by_default() -> None:
    """Only from this machine."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CaptureError, match=f"tcp-listen:{port}: port {port} is taken; another program has it"):
            list(spanline.open(f"tcp-listen:{port}"))
    address = pcap_over_ip.listen(pcap_over_ip.parse_endpoint(str(port), ""))
    with address:
        assert address.getsockname() == ("127.0.0.1", port)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tcp:127.0.0.1:{}", "connection refused; does the sender run? or let it come: tcp-listen:PORT"),
        ("tcp:no..name:{}", r"no\.\.name: not a name; check the address"),
        ("tcp-listen:192.0.2.1:{}", r"this machine has no address 192\.0\.2\.1; leave it out, or give one that it has"),
    ],
)
def test_what_cannot_be_had(name: str, message: str) -> None:
    name = name.format(free_port())
    with pytest.raises(CaptureError, match=message.replace("?", r"\?")) as raised:
        list(spanline.open(name))
    assert raised.value.message.startswith(f"{name}: ")
    done = spawn("flows", name)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)


@pytest.mark.parametrize(
    "name",
    ["tcp:", "tcp:host", "tcp:4789", "tcp::4789", "tcp:host:0", "tcp:host:65536", "tcp:::1:1", "tcp:[::1]", "TCP@host",
     "tcp-listen:", "tcp-listen:host", "tcp-listen:x:y:1"],
)  # fmt: skip
def test_wrong_names(name: str) -> None:
    with pytest.raises(UsageError, match=r"is no (address with a )?port|no address is given"):
        spanline.open(name)


def test_a_file_of_such_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tcp:localhost:1").write_bytes(FILES["pcap"])
    assert identifications("./tcp:localhost:1") == (list(range(COUNT)), [])


def test_what_tcpdump_sends(tmp_path: Path) -> None:
    if not shutil.which("tcpdump"):
        pytest.skip("no tcpdump")
    (tmp_path / "source.pcap").write_bytes(FILES["pcap"])
    port, outcome = free_port(), []
    reader = threading.Thread(target=lambda: outcome.append(identifications(f"tcp-listen:{port}")))
    reader.start()
    with connected(port) as sender:
        subprocess.run(
            ["tcpdump", "-r", tmp_path / "source.pcap", "-Z", "root", "-U", "-w", "-", "ip[4:2] >= 100"],
            stdout=sender, stderr=subprocess.DEVNULL, check=True, timeout=60,
        )  # fmt: skip
    reader.join()
    assert outcome == [(list(range(100, COUNT)), [])]
