"""Several processes share an interface: what becomes of frames when they come, wait, and die.

Oracles: the frames that were sent, and how many; the same frames read from a file; the kernel's list of processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import traffic

import spanline
from spanline.chunk import Interfaces
from spanline.sources.live import LiveOptions
from spanline.sources.ring import RingSource
from spanline.stages.flows import Flows, in_order
from spanline.workers.sharing import Sharing
from tests.commands import PROGRAM
from tests.craft import ethernet, ipv4, raw, udp
from tests.lab.hosts import wait_for
from tests.own_network import NEAR, Sender, impossible
from tests.rows import decode_all
from tests.test_worker_owners import outer, owners
from tests.test_workers import flows_of

pytestmark = [
    pytest.mark.lab,
    pytest.mark.usefixtures("network"),
    pytest.mark.skipif(bool(impossible()), reason=impossible() or "-"),
]

OPTIONS: dict[str, Any] = {"block_bytes": 1 << 18, "blocks": 16}


def frames_of(path: Path) -> list[bytes]:
    return [
        batch.buffers[0][at : at + length].tobytes()
        for batch in spanline.open(path)
        for at, length in zip(batch.records["offset"].tolist(), batch.records["captured_length"].tolist(), strict=True)
    ]


class Run:
    """A capture by several workers that goes on in a thread, until stop()."""

    def __init__(self, workers: int, **flows: Any) -> None:
        self.capture = spanline.open(f"live:{NEAR}", workers=workers, **OPTIONS)
        self.capture.open()
        self.stage = Flows(**flows)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_for("workers", lambda: len(self.processes()) == workers)

    def _run(self) -> None:
        for _ in self.capture.run(self.stage):
            pass

    @property
    def sharing(self) -> Sharing:
        assert isinstance(self.capture.listening, Sharing)
        return self.capture.listening

    def processes(self) -> list[int]:
        """Those of the workers, by number."""
        return children_of(os.getpid())

    def stop(self) -> pa.Table:
        self.capture.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        return in_order(list(self.stage.rest()))

    def require_account(self, offered: int, table: pa.Table) -> None:
        """Every frame is in a flow, or counted as lost."""
        arrivals, counters = self.capture.arrivals, self.capture.counters
        assert arrivals.offered == offered == arrivals.read + arrivals.lost, arrivals
        assert arrivals.read == counters.read == counters.decoded == self.stage.flow_packets
        packets = [pc.sum(table[f"{end}_packets"]).as_py() or 0 for end in ("source", "destination")]
        assert sum(packets) == self.stage.flow_packets


def children_of(process: int) -> list[int]:
    """Those that run, and are no zombies."""
    found = Path(f"/proc/{process}/task").glob("*/children")
    numbers = sorted(int(number) for one in found for number in one.read_text().split())
    return [number for number in numbers if is_running(number)]


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def plain(table: pa.Table) -> list[str]:
    """Flows without times, which a second look does not have again."""
    times = [name for name in table.schema.names if name.endswith(("_seen", "_rtt"))]
    return sorted(map(str, table.drop_columns(times).to_pylist()))


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("kind", ["mix", "vxlan"])
def test_flows_of_an_interface(cable: Sender, kind: str, workers: int, tmp_path: Path) -> None:
    """They are those of the file. Nothing moves, as the kernel divides by the right rule."""
    traffic.generate(kind, tmp_path / "a.pcap", packets=3000, flows=150)
    expected, _ = flows_of(spanline.open(tmp_path / "a.pcap"))
    run = Run(workers)
    frames = frames_of(tmp_path / "a.pcap")
    cable.send(*frames)
    table = run.stop()
    run.require_account(len(frames), table)
    assert not run.capture.arrivals.lost
    assert plain(table) == plain(expected)
    assert pc.count(table["handshake_rtt"]).as_py() == pc.count(expected["handshake_rtt"]).as_py() > 0
    assert run.sharing.moved == 0


def paced(cable: Sender, frames: Sequence[bytes], between: Callable[[int], None]) -> None:
    """Some thousands a second, in ten parts."""
    for part in range(10):
        between(part)
        for at in range(part * len(frames) // 10, (part + 1) * len(frames) // 10, 20):
            cable.send(*frames[at : at + 20])
            time.sleep(0.005)


@pytest.mark.parametrize("times", [1, 3])
def test_a_worker_that_is_killed(cable: Sender, times: int, tmp_path: Path) -> None:
    """Another one goes on at once; what is lost with it is counted, and a line says so."""
    traffic.generate("vxlan", tmp_path / "a.pcap", packets=4000, flows=300)
    frames = frames_of(tmp_path / "a.pcap")
    frames = frames[: len(frames) // 200 * 200]
    run = Run(2, idle_timeout=0.1)
    killed: list[int] = []

    def kill(part: int) -> None:
        if part in (3, 5, 7)[:times]:
            killed.append(run.processes()[-1])
            os.kill(killed[-1], signal.SIGKILL)
            wait_for("a worker instead", lambda: len(run.processes()) == 2 and killed[-1] not in run.processes())

    paced(cable, frames, kill)
    read = run.capture.counters.read
    table = run.stop()
    run.require_account(len(frames), table)
    assert read > 0
    assert run.capture.arrivals.dropped["worker"] > 0
    assert [problem.kind for problem in run.capture.problems] == ["worker"]
    assert len(run.sharing.accidents) == times
    assert all("died (SIGKILL)" in line and "another one goes on" in line for line in run.sharing.accidents)


def test_a_worker_that_is_killed_while_all_end(cable: Sender) -> None:
    """The others wait for what it may still have; when it is no more, nobody takes its place."""
    run = Run(2)
    cable.send(*[bytes(ethernet() / ipv4() / udp(n, 9)) for n in range(1, 200)])
    stopped, _ = run.processes()
    os.kill(stopped, signal.SIGSTOP)
    run.capture.stop()
    time.sleep(0.2)
    assert len(run.processes()) == 2
    os.kill(stopped, signal.SIGKILL)
    run.require_account(199, run.stop())
    assert not run.processes()


def test_a_worker_that_does_nothing_holds_nobody_up(cable: Sender) -> None:
    """Its ring and queue wait; when it goes on, nothing is lost."""
    run = Run(2)
    first, _ = run.processes()
    os.kill(first, signal.SIGSTOP)
    frames = [bytes(tunnel / ipv4() / udp(n, 53) / raw(bytes(80))) for n in range(1, 100) for tunnel in outer(n, n)]
    cable.send(*frames)
    others = int((owners(decode_all(frames), 2) == 1).sum())
    wait_for("the other one's frames", lambda: run.capture.counters.read == others)
    os.kill(first, signal.SIGCONT)
    wait_for("all frames", lambda: run.capture.counters.read == len(frames))
    run.require_account(len(frames), run.stop())
    assert not run.capture.arrivals.lost


def test_a_ring_goes_on_where_another_process_was(cable: Sender) -> None:
    """What was there is given up, however far the ring has come; what comes is read, and all is offered."""
    source = RingSource(NEAR, Interfaces(), LiveOptions(**OPTIONS))
    for _ in range(OPTIONS["blocks"] + 2):
        cable.send(*[bytes(ethernet() / ipv4() / udp(n, 9)) for n in range(1, 41)])
        time.sleep(0.15)  # until the block has gone out
        source.take_over(True)
    frames = [bytes(ethernet() / ipv4() / udp(n, 53)) for n in range(1, 21)]
    cable.send(*frames)
    source.stop()
    found = [
        chunk.buffer[at : at + len(frames[0])].tobytes()
        for chunk in source.chunks()
        for at in chunk.records["offset"].tolist()
    ]
    source.close()
    assert found == frames
    assert source.arrivals.offered == 40 * (OPTIONS["blocks"] + 2) + 20


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """spanline, with three workers, in a group of processes of its own."""
    arguments = ["flows", f"live:{NEAR}", "--workers", "3", "--allow-root", "--format", "json"]
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        wait_for("workers", lambda: len(children_of(process.pid)) == 3)
        yield process
        process.kill()


def test_workers_end_with_their_parent(command: subprocess.Popen[bytes]) -> None:
    workers = children_of(command.pid)
    command.kill()
    wait_for("their end", lambda: not any(map(is_running, workers)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group(command: subprocess.Popen[bytes], cable: Sender, number: signal.Signals) -> None:
    """As from Ctrl-C: all that came is in the result."""
    frames = [bytes(ethernet() / ipv4() / udp(n, 53)) for n in range(1, 300)]
    cable.send(*frames)
    os.killpg(command.pid, number)
    out, said = command.communicate(timeout=30)
    assert command.returncode == 0, said
    assert out.count(b'"source_packets": 1') == len(frames)
    assert b"offered 299 = read 299 + dropped 0" in said


def test_a_worker_that_is_killed_under_a_command(command: subprocess.Popen[bytes], cable: Sender) -> None:
    cable.send(*[bytes(ethernet() / ipv4() / udp(n, 53)) for n in range(1, 300)])
    workers = children_of(command.pid)
    os.kill(workers[1], signal.SIGKILL)
    wait_for("a worker instead", lambda: len(set(children_of(command.pid)) - {workers[1]}) == 3)
    command.terminate()
    _, said = command.communicate(timeout=30)
    assert command.returncode == 2
    assert b"worker 2 died (SIGKILL)" in said
    assert b"a worker died: " in said


def test_a_clock_that_is_set_back(cable: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an hour, in all workers: a flow is not cut to pieces, and no frame waits for the hour to come again."""
    now, until = time.time_ns, time.monotonic() + 1.5
    monkeypatch.setattr(time, "time_ns", lambda: now() + (3600 * 10**9 if time.monotonic() < until else 0))
    capture = spanline.open(f"live:{NEAR}", workers=2, **OPTIONS)
    stage, sent = Flows(), 0
    for _ in capture.run(stage):
        if sent == 20:
            capture.stop()
        elif time.monotonic() > until + 0.2:
            cable.send(bytes(ethernet() / ipv4() / udp(1000, 53)))
            sent += 1
            time.sleep(0.1)
    assert stage.tables()["flows"].column("source_packets").to_pylist() == [20]


@pytest.mark.parametrize("is_open", [[False], [True], [False, True]])
def test_stopped_before_it_begins(is_open: list[bool]) -> None:
    """By a signal that comes early, say: it is not forgotten, and the next run is another one."""
    capture = spanline.open(f"live:{NEAR}", workers=2, **OPTIONS)
    forgotten = threading.Event()

    def stop() -> None:
        forgotten.set()
        capture.stop()

    for opens in is_open:
        if opens:
            capture.open()
        capture.stop()
        late = threading.Timer(10, stop)
        late.start()
        for _ in capture.run(Flows()):
            pass
        late.cancel()
        late.join()
        assert not forgotten.is_set()


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
for _ in range(int(sys.argv[3])):
    os.open(os.devnull, os.O_RDONLY)
sys.argv = ["spanline", *sys.argv[4:]]
from spanline.cli import main
main()
"""
LIMITS = [(60, 4096, 0), (2048, 4096, 1100)]


def limited(*limits: int, duration: float) -> subprocess.Popen[bytes]:
    """Six workers: soft and hard limit of open files, and how many are open already."""
    arguments = ["flows", f"live:{NEAR}", "--workers", "6", "--allow-root", "--format", "json", "--block-size", "256K"]
    command = [sys.executable, "-c", LIMITED, *map(str, limits), *arguments, "--duration", str(duration)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("limits", LIMITS)
def test_many_open_files(cable: Sender, limits: tuple[int, ...]) -> None:
    """More than may be open at first, and more than select(2) knows: as many workers on many processors have."""
    with limited(*limits, duration=60) as process:
        wait_for("workers", lambda: len(children_of(process.pid)) == 6)
        cable.send(*[bytes(ethernet() / ipv4() / udp(n, 53)) for n in range(1, 300)])
        process.terminate()
        out, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert out.count(b'"source_packets": 1') == 299
    assert b"offered 299 = read 299 + dropped 0" in said


def test_too_many_open_files() -> None:
    with limited(60, 60, 0, duration=1) as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said.startswith(b"spanline: so many workers need ")
    assert said.count(b"\n") == 1
