"""Commands that capture, as processes, at one end of a cable whose other end a test sends into.

Truth: the frames that were sent, and the same command on a file with them.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import spanline
from spanline.lab.terminal import Terminal
from spanline.store import Store
from tests.commands import PROGRAM, handshake, run
from tests.craft import ethernet, ipv4, udp
from tests.craft_conversations import conversation
from tests.craft_files import Record, pcap
from tests.lab.hosts import PATIENCE, wait_for
from tests.own_network import FAR, NEAR, Sender, impossible, ip, own_network
from tests.planted import LOGINS

pytestmark = [
    pytest.mark.usefixtures("state"),
    pytest.mark.skipif(bool(impossible()), reason=impossible() or "-"),
]

SOON = 10.0
"""Seconds within which a signal ends a capture, on a machine that has other things to do: 2 where it has not."""

LOGIN = conversation(LOGINS["ftp"].dialogue(b"bob", b"opensesame"), 21, vni=7)
FRAMES = [*handshake(), *handshake("2001:db8::1", "2001:db8::2", vni=3), *LOGIN]


@pytest.fixture
def sender() -> Iterator[Sender]:
    with own_network(), Sender() as sender:
        yield sender


class Capturing:
    """A command that captures at the near end; it has begun."""

    def __init__(self, name: str, *options: str, interfaces: tuple[str, ...] = (f"live:{NEAR}",)) -> None:
        command = [*PROGRAM, name, *options, *interfaces, "--allow-root"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        count = len(interfaces)
        wait_for("the socket", lambda: self.process.poll() is not None or self._takes_frames_of(count))

    def _takes_frames_of(self, count: int) -> bool:
        """Of so many interfaces. libpcap binds its socket before it has a ring: what comes in between is lost."""
        mapped = Path(f"/proc/{self.process.pid}/maps").read_text().count("socket:[")
        return min(_sockets(), mapped) >= count

    def signalled(self, number: int = signal.SIGINT) -> tuple[str, str]:
        """Standard output and errors, after a signal that ends it soon."""
        self.process.send_signal(number)
        sent = time.monotonic()
        out, errors = self.process.communicate(timeout=PATIENCE)
        assert time.monotonic() - sent < SOON
        assert self.process.returncode == 0, errors
        return out.decode(), errors.decode()

    def ended(self, code: int = 0) -> tuple[str, str]:
        out, errors = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == code, errors
        return out.decode(), errors.decode()


def _sockets() -> int:
    """Packet sockets of this network that frames come to, which are not the sender's."""
    rows = Path("/proc/thread-self/net/packet").read_text().splitlines()[1:]
    return sum(row.split()[3] == "0003" and row.split()[5] == "1" for row in rows)


@contextlib.contextmanager
def capturing(name: str, *options: str, interfaces: tuple[str, ...] = (f"live:{NEAR}",)) -> Iterator[Capturing]:
    one = Capturing(name, *options, interfaces=interfaces)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.communicate()


def frames(records: list[Record]) -> list[bytes]:
    return [bytes(record.frame) for record in records]


def accounted(errors: str) -> int:
    """Frames read, of which the account says what became of each."""
    match = re.search(
        r"offered ([\d,]+) = read ([\d,]+) \+ dropped ([\d,]+).*"
        r"read ([\d,]+) = decoded ([\d,]+) \+ undecodable ([\d,]+)",
        errors,
    )
    assert match, errors
    offered, read, dropped, again, decoded, undecodable = (int(text.replace(",", "")) for text in match.groups())
    assert (offered, read) == (read + dropped, decoded + undecodable)
    assert again == read
    return read


ENGINES = ["ring", "libpcap"]
TIMELESS = ("source", "destination", "source_port", "destination_port", "vni", "source_packets", "destination_packets",
            "source_bytes", "destination_bytes", "conn_state", "history", "application")  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_flows_are_those_of_a_file(tmp_path: Path, sender: Sender, engine: str) -> None:
    (tmp_path / "sent.pcap").write_bytes(pcap(FRAMES, nanoseconds=True))
    expected = json.loads(run("flows", tmp_path / "sent.pcap", "--format", "json").stdout)
    with capturing("flows", "--format", "json", "--source", engine) as one:
        sender.send(*frames(FRAMES))
        time.sleep(0.5)
        out, errors = one.signalled()
    found = json.loads(out)
    assert [[flow[name] for name in TIMELESS] for flow in found] == [
        [flow[name] for name in TIMELESS] for flow in expected
    ]
    assert all(flow["handshake_rtt"] > 0 for flow in found)
    assert accounted(errors) == len(FRAMES)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_signal_ends_an_idle_capture(sender: Sender, engine: str, number: int) -> None:
    with capturing("flows", "--source", engine) as one:
        out, errors = one.signalled(number)
    assert out == "no flows\n"
    assert accounted(errors) == 0


@pytest.mark.parametrize("command", [["flows", "-n", "1"], ["stats", "all"], ["plaintext"]])
def test_a_signal_ends_a_capture_under_load(sender: Sender, command: list[str]) -> None:
    stop = threading.Event()
    count = 0
    frame = bytes(ethernet() / ipv4() / udp(53000, 53) / bytes(400))

    def send() -> None:
        nonlocal count
        while not stop.is_set():
            sender.send(*[frame] * 100)
            count += 100

    sending = threading.Thread(target=send)
    sending.start()
    try:
        with capturing(*command) as one:
            time.sleep(1)
            _, errors = one.signalled(signal.SIGTERM)
    finally:
        stop.set()
        sending.join()
    assert 0 < accounted(errors) <= count


def test_it_ends_by_itself(sender: Sender) -> None:
    with capturing("packets", "--duration", "1.5") as one:
        begun = time.monotonic()
        sender.send(*frames(FRAMES))
        out, errors = one.ended()
        assert time.monotonic() - begun > 0.5
    assert len(out.splitlines()) == accounted(errors) == len(FRAMES)


def test_frames_are_printed_as_they_come(sender: Sender) -> None:
    with capturing("packets", "-f", "port 443") as one:
        assert one.process.stdout
        for record in handshake():
            sender.send(bytes(record.frame))
            sender.send(bytes(ethernet() / ipv4() / udp(53000, 53) / b"question"))
            assert b"443" in one.process.stdout.readline()
        _, errors = one.signalled()
    assert accounted(errors) == 3  # the kernel keeps the others


def test_findings_are_shown_as_they_come(sender: Sender) -> None:
    """The password is given back to nobody, and the login is told while its conversation is open."""
    with capturing("plaintext") as one:
        sender.send(*frames(LOGIN[:-3]))
        assert one.process.stdout
        lines = [""]
        while "bob" not in lines[-1]:  # the first row, in one line or in two
            lines.append(one.process.stdout.readline().decode())
            assert lines[-1]
        assert any("ftp" in line for line in lines[-2:])
        assert one.process.poll() is None
        out, errors = one.signalled()
    assert "opensesame" not in "".join(lines) + out
    assert accounted(errors) == len(LOGIN) - 3


def test_two_interfaces(sender: Sender) -> None:
    """What goes out at one end comes in at the other."""
    ends = (f"live:{NEAR}", f"live:{FAR}")
    with capturing("packets", "--format", "json", interfaces=ends) as one, Sender(NEAR) as other:
        sender.send(*frames(handshake()))
        other.send(*frames(LOGIN))
        time.sleep(0.5)
        out, errors = one.signalled()
    assert accounted(errors) == len(json.loads(out)) == 3 + len(LOGIN)


def test_a_frame_count_ends_it(sender: Sender) -> None:
    """What came besides is accounted for, too."""
    with capturing("packets", "-n", "2") as one:
        sender.send(*frames(FRAMES))
        out, errors = one.ended()
    assert len(out.splitlines()) == 2
    assert accounted(errors) >= 2


@pytest.mark.parametrize("engine", ENGINES)
def test_a_link_that_goes_down(sender: Sender, engine: str) -> None:
    with capturing("flows", "--source", engine) as one:
        sender.send(*frames(handshake()))
        time.sleep(0.3)
        assert one.process.stderr
        ip(f"link set {NEAR} down")
        time.sleep(1)
        ip(f"link set {NEAR} up")
        time.sleep(1)
        sender.send(*frames(LOGIN))
        time.sleep(0.3)
        _, errors = one.signalled()
    said = [line for line in errors.splitlines() if (NEAR in line and "link" in line) or "again" in line]
    assert [("is down" in line, "come again" in line) for line in said] == [(True, False), (False, True)]
    assert accounted(errors) == 3 + len(LOGIN)


# --- files of a folder


def test_crunch_into_a_folder(tmp_path: Path, sender: Sender) -> None:
    """A file of flows that have ended about every second, and a last one at the end."""
    folder = tmp_path / "flows"
    options = ("-o", f"{folder}/", "--segment-time", "1", "--idle-timeout", "0.5")
    with capturing("crunch", *options) as one:
        for _ in range(3):
            sender.send(*frames(handshake()))
            time.sleep(1.2)
        sender.send(*frames(LOGIN))
        time.sleep(0.2)
        _, errors = one.signalled()
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) >= 3
    assert all(re.fullmatch(r"flows-\d{8}T\d{6}Z-\d{6}\.parquet", name) for name in names)
    packets = [row for name in names for row in pq.read_table(folder / name).to_pylist()]
    assert sum(row["source_packets"] + row["destination_packets"] for row in packets) == 9 + len(LOGIN)
    assert accounted(errors) == 9 + len(LOGIN)


def test_crunch_into_a_file(tmp_path: Path, sender: Sender) -> None:
    target = tmp_path / "flows.csv"
    with capturing("crunch", "-o", str(target)) as one:
        sender.send(*frames(FRAMES))
        time.sleep(0.3)
        assert not target.exists()
        one.signalled(signal.SIGTERM)
    assert len(target.read_text().splitlines()) == 1 + 3


# --- what cannot be captured


WRONG = [
    (["live:nosuch"], "there is no interface 'nosuch'; there are lo, far0, near0"),
    ([f"live:{NEAR}", "-f", "tpc"], "tpc"),
    (["live:"], "live:: nothing is named behind the colon; live:eth0, udp:4789"),
    ([f"live:{NEAR}", "capture.pcap"], "do not go together"),
    (["capture.pcap", "--duration", "3"], "capture.pcap is no live source"),
    ([f"live:{NEAR}", "--duration", "-1"], "'-1' is no number of seconds above 0; leave it out"),
    ([f"live:{NEAR}", "--duration", "off"], "'off' is no number of seconds above 0; leave it out"),
    ([f"live:{NEAR}", "--block-size", "1000"], "multiple of the page size"),
    ([f"live:{NEAR}", "--blocks", "1"], "--blocks"),
    ([f"live:{NEAR}", "--source", "tape"], "--source"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_usage(sender: Sender, arguments: list[str], said: str) -> None:
    command = [*PROGRAM, "flows", *arguments, "--allow-root"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert len(ran.stderr.splitlines()) == 1
    assert said in ran.stderr


@pytest.mark.parametrize("engine", ENGINES)
def test_without_permission(sender: Sender, engine: str) -> None:
    """As anybody who may not capture; told is how to allow it."""
    without = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
    command = [*without, *PROGRAM, "flows", f"live:{NEAR}", "--source", engine, "--allow-root"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert len(ran.stderr.splitlines()) == 1
    assert "this root has no CAP_NET_RAW" in ran.stderr


# --- on a terminal


def test_the_status_line_keeps_to_its_width(sender: Sender) -> None:
    """Of 80 columns, with what the terminal shows of Ctrl-C: long names are cut, and not how many frames were lost."""
    names = [f"interface-long{n}" for n in range(3)]
    ip(*(f"link add name {name} type veth peer name peer{n}" for n, name in enumerate(names)))
    sources = [f"live:{name}" for name in names]
    with Terminal([*PROGRAM, "flows", *sources, "--block-size", "64K", "--allow-root"]) as terminal:
        terminal.expect("lost 0")
        terminal.type("\x03", echo=False)
        terminal.expect("offered 0 = read 0")
        assert terminal.end() == 0
    drawn = re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "\r", terminal.shown.decode())
    assert any("  lost 0  0 flows  live:interface-long0" in line for line in drawn.split("\r"))
    assert max(len(line) for line in re.split("[\r\n]+", drawn) if "bit/s" in line) < 80


# --- signals


def test_a_second_signal_ends_at_once() -> None:
    """Two in the same moment are one, as timeout(1) sends it; whoever sends another one later means it."""
    program = (
        "import time; from spanline.cli import signals; signals.end_on_signals();"
        "signals.stop_first(lambda: print('stops', flush=True)); print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        process.terminate()
        assert process.stdout.readline() == b"stops\n"
        time.sleep(0.7)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON) == 130
        assert process.stdout.read() == b""


@pytest.mark.parametrize("name", ["crunch", "capture"])
def test_flows_go_to_a_store(name: str, sender: Sender, tmp_path: Path) -> None:
    """Oracle: the flows of a file with the same frames."""
    store, path = tmp_path / "store", tmp_path / "sent.pcap"
    capturing = Capturing(name, "--store", str(store))
    sender.send(*frames(FRAMES))
    time.sleep(1)
    _, errors = capturing.signalled()
    path.write_bytes(pcap(FRAMES))
    stored = Store(store)
    assert stored.is_live, errors
    keys = ("source", "destination", "source_port", "vni", "source_packets", "destination_bytes")
    found, expected = stored.read().select(keys), spanline.flows(path).select(keys)
    assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, expected.to_pylist()))
