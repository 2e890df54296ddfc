"""Several processes share a live capture: what they find is what one finds.

Oracles: the same capture read from its file by one process; sums that must agree.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import traffic

import spanline
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.plaintext.redaction import Redactor
from spanline.stages.flows import FLOW_ORDER, Flows, in_order
from spanline.stages.hierarchy import Hierarchy
from spanline.stages.plaintext import Plaintext
from spanline.stages.round_trips import RoundTrips
from spanline.stages.sorted_flows import SortedFlows
from spanline.workers import queues, sharing
from tests.commands import run
from tests.craft import Frame, arp, ethernet, ipv4, raw, tcp, udp
from tests.craft_conversations import conversation, together
from tests.craft_files import START, Record, pcap
from tests.craft_fragments import pieces
from tests.craft_tunnels import erspan2, erspan3, geneve, gre, vxlan
from tests.dealt import Dealing
from tests.planted import LOGINS
from tests.test_flow_table import conversations
from tests.test_worker_owners import A, inner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux' rings are shared")

MS = 1_000_000


# --- the same results


def crafted() -> dict[str, list[Record]]:
    def at_intervals(frames: list[Frame]) -> list[Record]:
        return [Record(START + n * MS, bytes(frame)) for n, frame in enumerate(frames)]

    many = [ethernet() / one for n in range(1, 30) for one in (*inner(n), ipv4(f"10.2.0.{n}", A) / tcp(443, 1000 + n))]
    in_gre = [ethernet() / ipv4("192.0.2.1", "192.0.2.2") / gre(key=n) / one for n in range(9) for one in inner(n + 1)]
    outer = ethernet() / ipv4("192.0.2.1", "192.0.2.2")
    tunnels = [
        *(outer / udp(50000, 6081) / geneve(n, options=bytes(4 * n)) for n in range(4)),
        *(outer / gre(sequence=n) / kind(n) / ethernet() for n in range(4) for kind in (erspan2, erspan3)),
    ]
    mirrored = [tunnel / one for tunnel in tunnels for n in range(5) for one in inner(n + 1)]
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
        "mirrored": at_intervals(mirrored),
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
