"""The workers of a capture, as their parent sees them: started, listened to, replaced, ended."""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import signal
import socket
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from spanline.batch import Decode
from spanline.chunk import Interfaces
from spanline.errors import UsageError
from spanline.sources.live import TICK, Arrivals, Gap, LiveSource
from spanline.transforms.own_rows import OwnRows
from spanline.transforms.reassemble import ReassemblyCounters
from spanline.workers import queues
from spanline.workers.exchange import Exchange
from spanline.workers.queues import Lane, readable
from spanline.workers.worker import COUNTS_DTYPE, JOIN, LENGTH, STOP, Divided, Failed, Finished, News, Worker

if TYPE_CHECKING:
    from spanline.pipeline import Capture

_MOST_STARTS = 1000
"""Workers in all, with those that take the place of others."""

_RECEIVED = 1 << 17

Counts = npt.NDArray[np.void]


@dataclass(slots=True)
class _Process:
    """A worker, as the parent sees it.

    number   its share
    start    its row of counts
    settled  frames that are counted in what it has handed over
    """

    number: int
    start: int
    process: int
    control: socket.socket
    settled: int = 0
    received: bytearray = field(default_factory=bytearray)
    is_over: bool = False


class SharedSource(LiveSource, Protocol):
    """One of several sources that share what comes."""

    def fileno(self) -> int:
        """The socket's."""

    def take_over(self, gives_up: bool) -> None:
        """In a process that was forked: it has this source from now on.

        gives_up  another one had it since, and died: what it left is not read
        """


class Team:
    """The workers of a capture.

    sources  one for each, opened: they share what comes
    memory   bytes that may wait for other workers in each

    counts   COUNTS_DTYPE, a row for each process that there was
    lost     numbers of rows of those that died
    deaths   a line about each of them
    """

    def __init__(
        self,
        sources: Sequence[SharedSource],
        interfaces: Interfaces,
        vxlan_ports: set[int],
        geneve_ports: set[int],
        memory: int,
    ) -> None:
        self._sources = sources
        self._interfaces = interfaces
        self._vxlan_ports = vxlan_ports
        self._geneve_ports = geneve_ports
        self._memory = memory
        size = len(sources)
        pairs = [(one, other) for one in range(size) for other in range(size) if one != other]
        self._queues = {pair: queues.memory() for pair in pairs}
        shared = mmap.mmap(-1, _MOST_STARTS * COUNTS_DTYPE.itemsize)
        self._counts = np.frombuffer(shared, COUNTS_DTYPE)
        self._starts = 0
        self._processes: dict[int, _Process] = {}
        self._is_stopped = False
        self._settled = 0
        self._orphans: list[SharedSource] = []
        """Of those that died and have no successor."""
        self.lost: set[int] = set()
        self.deaths: list[str] = []
        self.gaps: list[Gap] = []
        self.reassembly = ReassemblyCounters()

    @property
    def counts(self) -> Counts:
        return self._counts[: self._starts]

    def run(self, capture: Capture, stages: Sequence[Divided], transforms: Sequence[Any]) -> Iterator[None]:
        """Gives a moment whenever something came, and every TICK. Stages have everything when it is over.

        Raises what a worker raised.
        """
        self._capture, self._stages, self._transforms = capture, stages, transforms
        size = len(self._sources)
        _let_open(size * size)
        channels = {(one, other): socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    for one in range(size) for other in range(one + 1, size)}  # fmt: skip
        ends = {pair: both[0] for pair, both in channels.items()}
        ends |= {(other, one): both[1] for (one, other), both in channels.items()}
        try:
            for number in range(size):
                self._start(number, ends)
            for end in ends.values():
                end.close()
            while any(not one.is_over for one in self._processes.values()):
                self._listen()
                yield
            for source in self._orphans:
                source.refresh()  # what the kernel has counted since anybody asked
        finally:
            self._end()

    def stop(self) -> None:
        """Ends all workers soon, after what has come until now."""
        self._is_stopped = True
        for one in list(self._processes.values()):
            self._tell(one, STOP)

    def _tell(self, to: _Process, message: bytes, channel: socket.socket | None = None) -> None:
        with contextlib.suppress(OSError):  # it died: its pipe says so
            socket.send_fds(to.control, [message], [channel.fileno()] if channel else [])

    def _start(self, number: int, ends: dict[tuple[int, int], socket.socket]) -> None:
        """A process for a share; `ends` are those of its channels, among others'."""
        start = self._starts
        if start == _MOST_STARTS:
            raise UsageError(f"{start} workers have died", hint="capture with one process, without --workers")
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._starts += 1
        self._counts[start] = 0
        with warnings.catch_warnings():
            # Other threads of this process wait for signals, or for work that the child never gives them.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if not process:
            here.close()
            for one in self._processes.values():
                one.control.close()
            for (one_end, _), end in ends.items():
                if one_end != number:
                    end.close()
            mine = {other: end for (one_end, other), end in ends.items() if one_end == number}
            self._work(number, start, mine, there)
        there.close()
        self._processes[number] = _Process(number, start, process, here)
        if self._is_stopped:
            self._tell(self._processes[number], STOP)

    def _work(self, number: int, start: int, ends: dict[int, socket.socket], control: socket.socket) -> None:
        """In the new process, which ends here."""

        def lane(other: int, channel: socket.socket, *, waits: bool = False) -> Lane:
            return Lane(channel, self._queues[number, other], self._queues[other, number], waits=waits)

        try:
            source, is_first = self._sources[number], start < len(self._sources)
            source.take_over(not is_first)
            lanes = {other: lane(other, end, waits=not is_first) for other, end in ends.items()}
            decode = Decode(vxlan_port=self._vxlan_ports, geneve_port=self._geneve_ports, reassemble=True)
            size = len(self._sources)
            exchange = Exchange(number, size, source.chunks(), lanes, decode, self._interfaces, self._memory)
            worker = Worker(exchange, source, OwnRows(number, size), control, self._counts[start : start + 1], lane)
            worker.run(self._capture, self._stages, self._transforms)
        finally:
            os._exit(1)

    def _listen(self) -> None:
        """Takes what has come."""
        waiting = {one.control.fileno(): one for one in self._processes.values() if not one.is_over}
        for descriptor in readable(waiting, TICK):
            one = waiting[descriptor]
            try:
                octets = one.control.recv(_RECEIVED)
            except ConnectionError:  # it died with something unread
                octets = b""
            if octets:
                one.received += octets
                for message in _messages(one.received):
                    self._take(one, message)
            else:
                self._gone(one)

    def _take(self, one: _Process, message: Any) -> None:
        if isinstance(message, Finished):
            one.settled += message.frames
            for stage, part in zip(self._stages, message.parts, strict=True):
                if part is not None:
                    stage.take_over(part)
        elif isinstance(message, News):
            if one.number == 0:
                self.gaps, self.reassembly = message.gaps, message.reassembly
            known = self._capture.problems
            known += [problem for problem in message.problems if problem not in known]
        elif isinstance(message, Failed):
            message.error.add_note(message.where)
            raise message.error

    def _gone(self, one: _Process) -> None:
        """Its end of the pipe is closed."""
        _, status = os.waitpid(one.process, 0)
        one.is_over = True
        one.control.close()
        if os.waitstatus_to_exitcode(status) == 0:
            return
        self.lost.add(one.start)
        self._settled += one.settled
        read, live = (int(self._counts[one.start][name]) for name in ("read", "live"))
        goes_on = "" if self._is_stopped else "; another one goes on"
        self.deaths.append(
            f"worker {one.number + 1} died ({_reason(status)}) when it had read {read:,} frames, with {live:,} live "
            f"flows{goes_on}"
        )
        if self._is_stopped:
            self._orphans.append(self._sources[one.number])
        else:
            self._replace(one.number)

    def _replace(self, number: int) -> None:
        """Another worker goes on with the ring of one that died, with nothing in its stages."""
        ends = {}
        for other, process in self._processes.items():
            if other != number and not process.is_over:
                ends[number, other], ends[other, number] = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self._tell(process, JOIN + str(number).encode(), ends[other, number])
        self._start(number, ends)
        for end in ends.values():
            end.close()

    def _end(self) -> None:
        """No worker is left behind."""
        for one in self._processes.values():
            if not one.is_over:
                one.is_over = True
                one.control.close()
                os.kill(one.process, signal.SIGKILL)
                os.waitpid(one.process, 0)

    @property
    def alive(self) -> Counts:
        """The rows of those that did not die."""
        return self.counts[np.isin(np.arange(self._starts), list(self.lost), invert=True)]

    @property
    def read(self) -> int:
        """Frames that are in the results, or will be: also those in what the dead have handed over."""
        return int(self.alive["read"].sum()) + self._settled

    @property
    def live(self) -> int:
        """Flows that have not ended."""
        return int(self.alive["live"].sum())

    @property
    def arrivals(self) -> Arrivals:
        """What became of the frames that came to all rings: exact when all is over."""
        counts, read = self.counts, self.read
        left = [source.arrivals for source in self._orphans]
        arrivals = Arrivals(int(counts["offered"].sum()) + sum(one.offered for one in left), read)
        arrivals.dropped = {name: int(counts[name].sum()) for name in ("ring", "queue")}
        arrivals.dropped["ring"] += sum(one.lost for one in left)
        if self.lost:
            # What a worker has not counted any more, and what waited in its ring and queues, is lost with it.
            is_over = all(one.is_over for one in self._processes.values())
            told = max(int(counts["read"].sum()) - read, 0)
            arrivals.dropped["worker"] = arrivals.offered - read - arrivals.lost if is_over else told
        return arrivals


def _let_open(files: int) -> None:
    """Lets this process, and those that it forks, have so many files more: usually few may be open, unless one asks.

    Raises UsageError.
    """
    needed = sum(1 for _ in os.scandir("/proc/self/fd")) + files
    import resource  # Windows has none, nor these workers

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        what = f"so many workers need {needed:,} open files, and {hard:,} are the most"
        raise UsageError(what, hint="take fewer --workers, or let more be open: ulimit -Hn")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _messages(received: bytearray) -> Iterator[Any]:
    while len(received) >= LENGTH.size:
        (length,) = LENGTH.unpack_from(received)
        if len(received) < LENGTH.size + length:
            return
        message = bytes(received[LENGTH.size : LENGTH.size + length])
        del received[: LENGTH.size + length]
        yield pickle.loads(message)


def _reason(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
