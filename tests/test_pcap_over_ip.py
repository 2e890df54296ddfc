"""PCAP-over-IP: captures that come over TCP, and serving them.

Oracles: the frames that are sent, and tshark as client (TCP@…) and as judge of what a client has got.
"""

from __future__ import annotations

import bisect
import gzip
import itertools
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import spanline
from spanline import serving
from spanline.errors import CaptureError, OutputError, UsageError
from spanline.serving import PcapServer
from spanline.sources import pcap_over_ip
from tests.commands import spawn
from tests.craft import ethernet, ipv4, udp
from tests.craft_files import START, STEP, Pcapng, Record, pcap
from tests.lab.hosts import wait_for

pytestmark = pytest.mark.skipif(os.name != "posix", reason="captures over TCP are read on POSIX systems")

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


# --- reading


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


# --- serving


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
