"""Several processes share a live capture: what they find is what one finds.

Oracles: the same capture read from its file by one process; the kernel itself for the program that divides frames; the
flow hash for who belongs together; sums that must agree.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import traffic

import spanline
from spanline import _exchange
from spanline.batch import Batch
from spanline.errors import CaptureError, UsageError
from spanline.plaintext.redaction import Redactor
from spanline.stages.flows import FLOW_ORDER, Flows, in_order
from spanline.stages.hierarchy import Hierarchy
from spanline.stages.plaintext import Plaintext
from spanline.stages.round_trips import RoundTrips
from spanline.stages.sorted_flows import SortedFlows
from spanline.workers import queues, sharing
from spanline.workers.kernel_rule import kernel_rule
from tests.commands import run
from tests.craft import Frame, arp, ethernet, extension, icmp, icmpv6, ipv4, ipv6, raw, sctp, tcp, udp, vlan
from tests.craft_conversations import conversation, together
from tests.craft_files import START, Record, pcap
from tests.craft_fragments import pieces
from tests.craft_tunnels import gre, vxlan
from tests.dealt import Dealing
from tests.own_network import NEAR, Sender, impossible, own_network
from tests.planted import LOGINS
from tests.rows import decode_all
from tests.test_every_capture import FOLDERS, files_of
from tests.test_flow_table import conversations

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux' rings are shared")
needs_network = pytest.mark.skipif(bool(impossible()), reason=impossible() or "-")

MS = 1_000_000
A, B = "10.1.0.1", "10.1.0.2"
A6, B6 = "2001:db8::1", "2001:db8:0:7::2"


# --- whose a frame is


def owners(batch: Batch, workers: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    out = np.empty(len(batch), np.uint8)
    _exchange.owners(batch.packets.view(np.uint8), workers, out, np.empty((2, 64), np.uint64))
    return out


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 62])
@pytest.mark.parametrize("kind", ["mix", "vxlan"])
def test_packets_of_a_flow_have_one_owner(kind: str, workers: int, tmp_path: Path) -> None:
    """In both directions. Oracle: the flow hash. And each owner has its share."""
    traffic.generate(kind, tmp_path / "a.pcap", packets=3000, flows=400)
    shares = np.zeros(workers, int)
    for batch in spanline.open(tmp_path / "a.pcap"):
        found = owners(batch, workers)
        pairs = np.unique(np.stack([batch.packets["flow_hash"], found]), axis=1)
        assert len(np.unique(pairs[0])) == pairs.shape[1]
        shares += np.bincount(pairs[1].astype(int), minlength=workers)
    assert (shares > 0).all()
    if workers <= 7:
        assert shares.min() > shares.mean() / 2


@pytest.mark.parametrize("folder", FOLDERS)
def test_packets_of_a_flow_have_one_owner_in_every_capture(folder: str, captures: Path) -> None:
    """Also of what is cut, damaged, ICMP, and no TCP or UDP. Oracle: the flow hash, where whole datagrams are."""
    for path in files_of(captures / folder):
        known: dict[int, int] = {}
        try:
            for batch in spanline.open(path, reassemble=False):
                rows = batch.packets["ip_version"] != 0
                pairs = zip(batch.packets["flow_hash"][rows].tolist(), owners(batch, 5)[rows].tolist(), strict=True)
                for flow, owner in set(pairs):
                    assert known.setdefault(flow, owner) == owner, path
        except CaptureError:
            continue


ALL, HERE = _exchange.ALL, _exchange.HERE


@pytest.mark.parametrize(
    ("frame", "owner"),
    [
        (ethernet() / arp(), HERE),
        (pieces(ipv4(A, B) / udp(1, 2) / raw(bytes(64)), 16)[0], ALL),
        (pieces(ipv4(A, B) / udp(1, 2) / raw(bytes(64)), 16)[1], ALL),
        (pieces(ipv6(A6, B6) / udp(1, 2) / raw(bytes(64)), 16)[1], ALL),
    ],
    ids=["no flow", "first fragment", "second fragment", "IPv6 fragment"],
)
def test_frames_of_all_and_of_nobody(frame: Frame, owner: int) -> None:
    """A fragment has ports only if it is the first; what is no flow's does not move."""
    whole = frame if owner == HERE else ethernet() / frame
    assert owners(decode_all([whole], reassemble=True), 4).tolist() == [owner]


@pytest.mark.parametrize(("packets", "workers", "out"), [(128, 0, 1), (128, 63, 1), (128, 2, 2), (0, 2, 1)], ids=str)
def test_wrong_sizes(packets: int, workers: int, out: int) -> None:
    with pytest.raises(ValueError, match="workers"):
        _exchange.owners(np.zeros(packets, np.uint8), workers, np.zeros(out, np.uint8), np.empty((2, 64), np.uint64))
    with pytest.raises(ValueError, match="workers"):
        _exchange.own_rows(np.zeros(packets, np.uint8), workers, 0, np.zeros(out, np.uint8))


def inner(number: int) -> list[Frame]:
    """Frames in which the program of the kernel finds what C finds."""
    ports = 1000 + number, 443
    four, six = ipv4(A, f"10.2.0.{number}"), ipv6(A6, f"2001:db8::{number:x}")
    return [
        four / tcp(*ports),
        four / udp(*ports),
        four / icmp(),
        four / sctp(*ports),
        six / tcp(*ports),
        six / udp(*ports),
        six / icmpv6(),
        ipv4(A, f"10.2.0.{number}", options=bytes(8)) / tcp(*ports),
    ]


def outer(number: int, vni: int, port: int = 4789) -> list[Frame]:
    return [
        ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(50000 + number, port) / vxlan(vni) / ethernet(),
        ethernet() / ipv6("fd00::1", "fd00::2") / udp(50000, port) / vxlan(vni) / ethernet(),
        ethernet() / ipv4("192.0.2.1", "192.0.2.2", options=bytes(4)) / udp(50000, port) / vxlan(vni) / ethernet(),
    ]


class Group:
    """Sockets of one fanout group that the program divides frames among."""

    def __init__(self, size: int, vxlan_ports: set[int]) -> None:
        program = kernel_rule(vxlan_ports)
        self._sockets = []
        for number in range(size):
            one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            one.bind((NEAR, 3))
            one.setsockopt(263, 18, 77 | 6 << 16)
            if number == 0:
                one.setsockopt(263, 22, struct.pack("@HP", len(program), program.ctypes.data))
            one.setblocking(False)
            self._sockets.append(one)

    def received(self) -> list[tuple[int, bytes]]:
        """(who, frame) of all frames."""
        found = []
        for number, one in enumerate(self._sockets):
            while True:
                try:
                    found.append((number, one.recv(65536)))
                except BlockingIOError:
                    break
        return found

    def close(self) -> None:
        for one in self._sockets:
            one.close()


@pytest.mark.lab
@needs_network
@pytest.mark.parametrize("workers", [2, 3])
def test_the_kernel_divides_by_the_same_rule(workers: int) -> None:
    """Oracle: the kernel, which runs the program on frames that come over a cable."""
    frames = [bytes(ethernet() / one) for n in range(1, 20) for one in inner(n)]
    frames += [bytes(tunnel / one) for n in range(1, 20) for one in inner(n) for tunnel in outer(n, n)]
    frames += [bytes(tunnel / one) for n in range(1, 20) for one in inner(n) for tunnel in outer(n, n, 8472)]
    frames += [bytes(ethernet() / vlan(7) / one) for n in range(1, 20) for one in inner(n)]
    with own_network(), Sender() as sender:
        group = Group(workers, {4789, 8472})
        found = []
        for some in (frames[at : at + 100] for at in range(0, len(frames), 100)):  # as many as a socket holds
            sender.send(*some)
            found += group.received()
        group.close()
    assert len(found) == len(frames)
    # The kernel takes the VLAN tag out: the row is the same without.
    batch = decode_all([frame for _, frame in found], vxlan_port={4789, 8472}, reassemble=True)
    assert owners(batch, workers).tolist() == [number for number, _ in found]


@pytest.mark.lab
@needs_network
@pytest.mark.parametrize(
    "frame",
    [
        ethernet() / arp(),
        ethernet() / ipv4(A, B) / gre() / ipv4(A, B) / tcp(1, 2),
        ethernet() / ipv6(A6, B6) / extension(0) / tcp(1, 2),
        ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(1, 4789) / vxlan(1) / ethernet() / arp(),
        ethernet() / raw(b"\x45", ether_type=0x0800),
        ethernet() / vlan(1) / vlan(2) / ipv4(A, B) / tcp(1, 2),
    ],
    ids=["ARP", "GRE", "IPv6 extension", "ARP in VXLAN", "cut", "two tags"],
)
def test_the_kernel_gives_all_else_to_anybody(frame: Frame) -> None:
    """None is lost, and none comes twice."""
    with own_network(), Sender() as sender:
        group = Group(3, {4789})
        sender.send(bytes(frame).ljust(60, b"\0"))
        found = group.received()
        group.close()
    assert len(found) == 1


# --- the same results


def crafted() -> dict[str, list[Record]]:
    def at_intervals(frames: list[Frame]) -> list[Record]:
        return [Record(START + n * MS, bytes(frame)) for n, frame in enumerate(frames)]

    many = [ethernet() / one for n in range(1, 30) for one in (*inner(n), ipv4(f"10.2.0.{n}", A) / tcp(443, 1000 + n))]
    in_gre = [ethernet() / ipv4("192.0.2.1", "192.0.2.2") / gre(key=n) / one for n in range(9) for one in inner(n + 1)]
    fragments: list[Frame] = []
    for n in range(1, 40):
        datagram = ipv4(A, f"10.2.0.{n}") / udp(5000 + n, 53) / raw(bytes(range(100)))
        tunnel = ipv4("192.0.2.1", "192.0.2.2") / udp(50000, 4789) / vxlan(5) / ethernet() / datagram
        parts = pieces(datagram, 40, identification=n) + pieces(tunnel, 80, identification=n)
        parts += [ipv4(A, f"10.2.0.{n}") / udp(5000 + n, 53) / raw(b"whole")]
        fragments += [ethernet() / part for part in (parts[::-1] if n % 3 == 0 else parts[1:] if n % 5 == 0 else parts)]
    return {
        "conversations": conversations(),
        "many": at_intervals([*many, *(ethernet() / arp() for _ in range(20))]),
        "gre": at_intervals(in_gre),
        "fragments": at_intervals(fragments),
    }


CRAFTED = crafted()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    for name, records in CRAFTED.items():
        (folder / f"{name}.pcap").write_bytes(pcap(records, nanoseconds=True))
    for kind in ("mix", "vxlan"):
        traffic.generate(kind, folder / f"{kind}.pcap", packets=3000, flows=150)
    return folder


def shared(path: Path, workers: int, patch: pytest.MonkeyPatch, **options: Any) -> spanline.Capture:
    """The frames of a file, captured by several workers."""
    patch.setattr("spanline.sources.ring.RingSource", Dealing(path, workers))
    patch.setattr(sharing, "_group_of", lambda _: (0, 0))
    patch.setattr(sharing, "_let_kernel_divide", lambda *_: None)
    return spanline.open("live:dealt", workers=workers, **options)


def require_account(capture: spanline.Capture, frames: int) -> None:
    arrivals, counters = capture.arrivals, capture.counters
    assert arrivals.offered == frames
    assert arrivals.offered == arrivals.read + arrivals.lost
    assert arrivals.read == counters.read
    assert not capture.problems


def flows_of(capture: spanline.Capture, **options: Any) -> tuple[pa.Table, Flows]:
    stage = Flows(**options)
    for _ in capture.run(stage):
        pass
    return in_order(list(stage.rest())), stage


@pytest.mark.parametrize("name", [*CRAFTED, "mix", "vxlan"])
@pytest.mark.parametrize("workers", [2, 3])
def test_flows_are_those_of_one_process(own: Path, name: str, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With times, round-trip times, histories and states, however the kernel divides frames."""
    path = own / f"{name}.pcap"
    expected, one = flows_of(spanline.open(path))
    capture = shared(path, workers, monkeypatch)
    found, stage = flows_of(capture)
    assert found.equals(expected)
    assert (stage.flow_packets, stage.non_flow_packets) == (one.flow_packets, one.non_flow_packets)
    assert stage.flow_packets + stage.non_flow_packets == capture.counters.decoded
    require_account(capture, one.flow_packets + one.non_flow_packets)
    assert sharing_of(capture).moved > 0


def sharing_of(capture: spanline.Capture) -> sharing.Sharing:
    assert isinstance(capture.listening, sharing.Sharing)
    return capture.listening


def test_warnings_are_told_once(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = shared(own / "mix.pcap", 3, monkeypatch)
    capture.open()
    assert sharing_of(capture).warnings == ["offloads are on"]


def test_reassembly_is_that_of_one_process(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = spanline.open(own / "fragments.pcap")
    for _ in whole:
        pass
    capture = shared(own / "fragments.pcap", 3, monkeypatch)
    flows_of(capture)
    assert capture.reassembly == whole.reassembly
    assert whole.reassembly.completed > 50
    assert whole.reassembly.pending > 0


@pytest.mark.parametrize("name", ["conversations", "vxlan"])
def test_other_stages(own: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own / f"{name}.pcap"
    for make in (lambda: RoundTrips("handshake", with_times=True), lambda: SortedFlows("bytes", 20)):
        one, several = make(), make()
        for _ in spanline.open(path).run(one):
            pass
        for _ in shared(path, 2, monkeypatch).run(several):
            pass
        assert {n: t.to_pylist() for n, t in several.tables().items()} == {
            n: t.to_pylist() for n, t in one.tables().items()
        }


@pytest.mark.parametrize("workers", [2, 3])
def test_findings_are_those_of_one_process(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the numbers of frames, which each worker counts for itself, and so the order of what comes at once."""
    talk = [
        conversation(login.dialogue(b"bob", b"secret"), port, client_port=50000 + n, vni=n % 3 or None)
        for n, (login, port) in enumerate([(LOGINS["ftp"], 21), (LOGINS["pop"], 110), (LOGINS["imap"], 143)] * 9)
    ]
    (tmp_path / "a.pcap").write_bytes(pcap(together(talk), nanoseconds=True))

    def findings(capture: spanline.Capture) -> tuple[list[dict[str, Any]], Plaintext]:
        stage = Plaintext(Redactor(bytes(32)))
        for _ in capture.run(stage):
            pass
        rows = [row | {"frames": None} for row in stage.tables()["findings"].to_pylist()]
        return sorted(rows, key=str), stage

    expected, one = findings(spanline.open(tmp_path / "a.pcap"))
    found, several = findings(shared(tmp_path / "a.pcap", workers, monkeypatch))
    assert len(expected) >= 27
    assert found == expected
    assert (several.followed, several.cut, several.evicted) == (one.followed, one.cut, one.evicted)


@pytest.mark.parametrize("command", [("flows",), ("flows", "--sort", "rtt"), ("rtt",)], ids=" ".join)
def test_commands(own: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(*command, own / "vxlan.pcap", "--format", "json").stdout
    shared(own / "vxlan.pcap", 2, monkeypatch)
    assert run(*command, "live:dealt", "--workers", "2", "--format", "json", "--allow-root").stdout == expected


def test_crunch(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account of frames is that of one process, too."""
    run("crunch", own / "mix.pcap", "-o", tmp_path / "one.parquet")
    shared(own / "mix.pcap", 3, monkeypatch)
    several = run("crunch", "live:dealt", "--workers", "3", "-o", tmp_path / "several.parquet", "--allow-root")
    order = [(name, "ascending") for name in FLOW_ORDER]
    one, found = (pq.read_table(tmp_path / f"{name}.parquet").sort_by(order) for name in ("one", "several"))
    assert found.equals(one)
    for part in ("offered 3,000 = read 3,000 + dropped 0", "decoded 3,000 = in flows 3,000 + not in flows 0"):
        assert part in several.stderr


# --- what is lost is counted


def test_a_full_queue_drops(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fragments go to all workers or to none: each frame that was read is in a flow, and counted once."""
    for name, frames in ("fragments", len(CRAFTED["fragments"])), ("vxlan", 3000):
        monkeypatch.setattr(queues, "QUEUE_BYTES", 4096)
        capture = shared(own / f"{name}.pcap", 3, monkeypatch)
        _, stage = flows_of(capture)
        assert capture.arrivals.dropped["queue"] > 0
        assert stage.flow_packets + stage.non_flow_packets == capture.counters.decoded == capture.counters.read
        require_account(capture, frames)


def test_a_stage_that_fails_ends_all(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker raises is raised in the parent, and no worker is left behind."""

    class Failing(Flows):
        def update(self, batch: Batch) -> None:
            raise MemoryError("no room")

        @property
        def steps(self) -> Any:
            return [self.update]

        @steps.setter
        def steps(self, _: Any) -> None:
            """Nobody else's."""

    capture = shared(own / "mix.pcap", 2, monkeypatch)
    with pytest.raises(MemoryError, match="no room"):
        flows_of_stage(capture, Failing())
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def flows_of_stage(capture: spanline.Capture, stage: Flows) -> None:
    for _ in capture.run(stage):
        pass


def test_whoever_stops_asking_leaves_frames(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = shared(own / "mix.pcap", 2, monkeypatch)
    steps = capture.run(Flows())
    next(steps)
    assert isinstance(steps, Generator)
    steps.close()
    assert capture.arrivals.offered == capture.arrivals.read + capture.arrivals.lost
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


# --- what makes no sense


@pytest.mark.parametrize(
    ("names", "options", "what"),
    [
        ("capture.pcap", {}, "is no live source"),
        (["live:a", "live:b"], {}, "the rings of one interface"),
        ("udp:4789", {}, "the rings of one interface"),
        ("live:a", {"engine": "libpcap"}, "the rings of one interface"),
        ("live:a", {"workers": 63}, "63 workers are too many"),
    ],
    ids=["file", "two interfaces", "udp", "libpcap", "too many"],
)
def test_wrong_sources(names: Any, options: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        spanline.open(names, **{"workers": 2, **options})


@pytest.mark.parametrize(
    ("stage", "options", "what"),
    [
        (Hierarchy, {}, "several workers cannot make hierarchy"),
        (Flows, {"display_filter": "tcp.stream == 1"}, "each worker numbers streams"),
    ],
    ids=["stage", "stream"],
)
def test_what_cannot_be_shared(
    own: Path, stage: Any, options: dict[str, Any], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = shared(own / "mix.pcap", 2, monkeypatch, **options)
    with pytest.raises(UsageError, match=what):
        next(capture.run(stage()))


def test_filters_apply_once(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that are left out are counted as with one process."""
    for options in ({"display_filter": "udp"}, {"inner_filter": "udp port 53"}):
        expected = spanline.open(own / "fragments.pcap", **options)
        table, _ = flows_of(expected)
        capture = shared(own / "fragments.pcap", 3, monkeypatch, **options)
        assert flows_of(capture)[0].equals(table)
        assert capture.counters == expected.counters
