"""A live capture that several processes share, as one source."""

from __future__ import annotations

import math
import os
import socket
import struct
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from spanline._exchange import MOST_WORKERS
from spanline.batch import Batch, Decode
from spanline.chunk import Chunk, Interfaces
from spanline.errors import Problem, UsageError
from spanline.schema import RECORD_DTYPE
from spanline.sources.capture_file import OnWait
from spanline.sources.listening import Listening
from spanline.sources.live import Arrivals, Gap, LiveOptions
from spanline.transforms.reassemble import ReassemblyCounters
from spanline.workers.kernel_rule import kernel_rule
from spanline.workers.team import SharedSource, Team

if TYPE_CHECKING:
    from spanline.pipeline import Capture

# linux/if_packet.h
_SOL_PACKET, _FANOUT, _FANOUT_DATA = 263, 18, 22
_BY_PROGRAM, _UNIQUE_ID = 6, 0x2000

_NUMBERS = frozenset({"streams", "analysis"})
"""What Annotate tells by numbers that count what came before, of all workers."""


class Sharing(Listening):
    """A Listening to one interface, whose frames `options.workers` processes analyse: run() instead of chunks().

    Each has a ring of options.blocks.
    """

    def __init__(
        self, names: Sequence[str], options: LiveOptions, vxlan_ports: Collection[int], geneve_ports: Collection[int]
    ) -> None:
        super().__init__(names, options)
        self._ports = vxlan_ports, geneve_ports
        if options.workers > MOST_WORKERS:
            raise UsageError(f"{options.workers} workers are too many", hint=f"at most {MOST_WORKERS}")
        is_one = len(self.names) == 1 and self.names[0].startswith("live:")
        if not is_one or options.engine == "libpcap" or sys.platform != "linux":
            what = "several workers share the rings of one interface, as Linux has them"
            raise UsageError(what, hint="name live:eth0 alone, or leave --workers out")
        self._team: Team | None = None

    def open(self, interfaces: Interfaces, _: list[Problem], __: OnWait | None, ___: bool) -> None:
        """Frames come from now on. Raises CaptureError or UsageError."""
        from spanline.sources.ring import RingSource

        self._interfaces = interfaces
        self._team = None
        self.octets = self.bytes_read = self._unread = 0
        self._sources = []
        # Workers may be replaced: when the time is over is for the parent to say.
        options = replace(self.options, duration=None)
        interface = self.names[0].removeprefix("live:")
        group = 0, _BY_PROGRAM | _UNIQUE_ID
        try:
            for number in range(options.workers):
                # The interface is the same one for all: each has the number 0 in its own list.
                source = RingSource(interface, interfaces if number == 0 else Interfaces(), options, fanout=group)
                self._sources.append(source)
                if number == 0:
                    _let_kernel_divide(source.fileno(), *self._ports)
                group = _group_of(source.fileno())
        except BaseException:
            self.close()
            raise

    def run(self, capture: Capture, stages: Sequence[Any], transforms: Sequence[Any]) -> Iterator[Batch]:
        """What Capture.run() does, but that batches without rows come: the frames' are the workers'.

        Stages are those that several processes can share (workers.worker.Divided). Raises UsageError for others, and
        for a filter that cannot be applied by each worker.
        """
        self._check(capture, stages)
        waiting = self.options.block_bytes * self.options.blocks // 2
        team = self._team = Team(self._rings, self._interfaces, capture.vxlan_ports, capture.geneve_ports, waiting)
        if self._is_stopped:
            team.stop()
        end = math.inf if self.options.duration is None else time.monotonic() + self.options.duration
        nothing = Decode()(Chunk(np.empty(0, np.uint8), np.empty(0, RECORD_DTYPE), self._interfaces))
        try:
            for _ in team.run(capture, stages, transforms):
                if time.monotonic() >= end:
                    end = math.inf
                    team.stop()
                self._count(capture)
                yield nothing
        finally:
            self._count(capture)
            if team.lost:
                died = "a worker" if len(team.lost) == 1 else f"{len(team.lost)} workers"
                what = f"{died} died: {self.arrivals.dropped['worker']:,} frames are not in the results"
                capture.problems.append(Problem(self.names[0], "worker", what))
            # Who stops asking leaves frames behind.
            self._unread = 0 if team.lost else max(self.arrivals.offered - self.arrivals.read - self.arrivals.lost, 0)
            self.close()
            self._is_stopped = False

    def stop(self) -> None:
        """Ends run() soon, after what has come until now, also when it has not begun; from any thread, and from signal
        handlers."""
        self._is_stopped = True
        if self._team is not None:
            self._team.stop()

    def refresh(self) -> None:
        """Nothing: workers tell what they have counted."""

    @property
    def arrivals(self) -> Arrivals:
        """Those of all workers."""
        arrivals = self._team.arrivals if self._team else Arrivals()
        if self._unread:
            arrivals.dropped["unread"] = self._unread
        return arrivals

    @property
    def gaps(self) -> list[Gap]:
        """When nothing could be captured."""
        return self._team.gaps if self._team else []

    @property
    def reassembly(self) -> ReassemblyCounters | None:
        """Of every worker: each has all fragments."""
        return self._team.reassembly if self._team else None

    @property
    def warnings(self) -> list[str]:
        """What the user may want to change: the same of all rings of an interface, so those of one."""
        return list(getattr(self._sources[0], "warnings", ())) if self._sources else []

    @property
    def accidents(self) -> list[str]:
        """Workers that died so far, a line each."""
        return self._team.deaths if self._team else []

    @property
    def moved(self) -> int:
        """Frames that came to another worker than the one that they are for."""
        return int(self._team.counts["moved"].sum()) if self._team else 0

    @property
    def longer(self) -> int:
        """Frames so far that were longer than the interface's MTU allows."""
        return int(self._team.counts["longer"].sum()) if self._team else 0

    @property
    def live_elsewhere(self) -> int:
        """Flows of workers that have not ended."""
        return self._team.live if self._team else 0

    @property
    def _rings(self) -> list[SharedSource]:
        return cast(list[SharedSource], self._sources)

    def _check(self, capture: Capture, stages: Sequence[Any]) -> None:
        for stage in stages:
            if not hasattr(stage, "share"):
                what = f"several workers cannot make {type(stage).__name__.lower()}"
                raise UsageError(what, hint="flows, rtt, plaintext and crunch take --workers")
        if capture.requires & _NUMBERS:
            raise UsageError("each worker numbers streams by itself", hint="filter without tcp.stream and tcp.analysis")
        if not self.filters:
            raise UsageError("the kernel cannot apply this capture filter", hint="leave --workers out, or use -Y")

    def _count(self, capture: Capture) -> None:
        if self._team is None:
            return
        counts, counters = self._team.alive, capture.counters
        counters.read = self._team.read
        counters.undecodable, counters.filtered_out = (int(counts[n].sum()) for n in ("undecodable", "filtered_out"))
        self.octets, self.bytes_read = int(counts["octets"].sum()), int(counts["bytes"].sum())


def _group_of(ring: int) -> tuple[int, int]:
    """Number and mode of the group that a ring is in, for the next one to join."""
    with socket.socket(fileno=os.dup(ring)) as own:
        (group,) = struct.unpack("=I", own.getsockopt(_SOL_PACKET, _FANOUT, 4))
    return group & 0xFFFF, _BY_PROGRAM


def _let_kernel_divide(ring: int, vxlan_ports: Collection[int], geneve_ports: Collection[int]) -> None:
    program = kernel_rule(vxlan_ports, geneve_ports)
    with socket.socket(fileno=os.dup(ring)) as own:
        # struct sock_fprog: how many instructions, and where they are
        own.setsockopt(_SOL_PACKET, _FANOUT_DATA, struct.pack("@HP", len(program), program.ctypes.data))
