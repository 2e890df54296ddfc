"""Live sources of one capture: their chunks as they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence

from spanline.chunk import Chunk, Interfaces
from spanline.errors import Problem
from spanline.sources.capture_file import FileInfo, OnWait
from spanline.sources.live import Arrivals, Gap, LiveOptions, LiveSource
from spanline.sources.opening import open_source
from spanline.transforms.reassemble import ReassemblyCounters

_NEVER = 2**63 - 1
"""Clock of a source that is over: it holds nobody up."""


class Listening:
    """The live sources `names`, which are opened together.

    octets      bytes on the wire of the frames that were given out
    bytes_read  bytes that were captured of them

    Whoever stops asking for chunks leaves frames behind, which are "unread" among the dropped ones.
    """

    bytes_total = None

    def __init__(self, names: Sequence[str], options: LiveOptions) -> None:
        self.names = tuple(dict.fromkeys(names))
        self.options = options
        self._sources: list[LiveSource] = []
        self._interfaces = Interfaces()
        self._is_stopped = False
        self.octets = self.bytes_read = self._unread = 0

    def open(self, interfaces: Interfaces, _: list[Problem], __: OnWait | None, ___: bool) -> None:
        """Frames come from now on. Raises CaptureError or UsageError."""
        self._interfaces = interfaces
        self.octets = self.bytes_read = self._unread = 0
        self._sources = []
        try:
            for name in self.names:
                self._sources.append(open_source(name, interfaces, self.options))
            if self._is_stopped:
                self.stop()
        except BaseException:
            self.close()
            raise

    def chunks(self) -> Generator[Chunk]:
        """What comes, until all sources are over; order between them is by chunk."""
        try:
            for chunk in self._sources[0].chunks() if len(self._sources) == 1 else self._together():
                wire, captured = chunk.octets
                self.octets += wire
                self.bytes_read += captured
                yield chunk
        except GeneratorExit:  # nobody wants the rest
            self.refresh()
            self._unread = max(self.arrivals.offered - self.arrivals.read - self.arrivals.lost, 0)
            raise
        finally:
            self.close()
            self._is_stopped = False

    def _together(self) -> Iterator[Chunk]:
        """A thread waits for each source; the clock is that of the source that is furthest behind."""
        waiting: queue.Queue[tuple[int, Chunk | BaseException | None]] = queue.Queue(len(self._sources))
        clocks: list[int | None] = [None] * len(self._sources)

        def listen(number: int, source: LiveSource) -> None:
            try:
                for chunk in source.chunks():
                    waiting.put((number, chunk))
                waiting.put((number, None))
            except BaseException as error:
                waiting.put((number, error))

        threads = [threading.Thread(target=listen, args=item, name="spanline") for item in enumerate(self._sources)]
        for thread in threads:
            thread.start()
        left = len(threads)
        try:
            while left:
                number, got = waiting.get()
                if isinstance(got, Chunk):
                    clocks[number] = got.clock
                    known = [clock for clock in clocks if clock is not None]
                    got.clock = min(known) if len(known) == len(clocks) else None
                    yield got
                    continue
                left -= 1
                clocks[number] = _NEVER
                if got is not None:
                    raise got
        finally:
            self.stop()
            while left:
                left -= not isinstance(waiting.get()[1], Chunk)
            for thread in threads:
                thread.join()

    def stop(self) -> None:
        """Ends chunks() soon, after what has come until now, also when it has not begun; from any thread, and from
        signal handlers."""
        self._is_stopped = True
        for source in self._sources:
            source.stop()

    def refresh(self) -> None:
        """Brings `arrivals` up to date, while chunks() goes on."""
        for source in self._sources:
            source.refresh()

    def close(self) -> None:
        for source in self._sources:
            source.close()

    # What only some kinds of sources have to say.

    @property
    def filters(self) -> bool:
        """Whether all of them take only frames that pass options.filter; else who analyses them has to look."""
        return all(getattr(source, "kernel_filters", False) for source in self._sources)

    @property
    def reassembly(self) -> ReassemblyCounters | None:
        """What became of fragmented datagrams in other processes; None when this one has put them together."""
        return None

    @property
    def live_elsewhere(self) -> int:
        """Flows of other processes that have not ended."""
        return 0

    @property
    def accidents(self) -> list[str]:
        """What went wrong on this side so far, a line each."""
        return []

    @property
    def warnings(self) -> list[str]:
        """What the user may want to change, a line each."""
        return [line for source in self._sources for line in getattr(source, "warnings", ())]

    @property
    def longer(self) -> int:
        """Frames so far that are longer than their interface's MTU allows."""
        return sum(getattr(source, "longer", 0) for source in self._sources)

    @property
    def vxlan_ports(self) -> set[int]:
        """Ports that carry VXLAN."""
        return {source.vxlan_port for source in self._sources if hasattr(source, "vxlan_port")}

    @property
    def arrivals(self) -> Arrivals:
        """Those of all sources."""
        total = Arrivals(dropped={"unread": self._unread} if self._unread else {})
        for one in (source.arrivals for source in self._sources):
            total.offered += one.offered
            total.read += one.read
            for cause, count in one.dropped.items():
                total.dropped[cause] = total.dropped.get(cause, 0) + count
        return total

    @property
    def gaps(self) -> list[Gap]:
        """Those of all sources, by time."""
        return sorted((gap for source in self._sources for gap in source.gaps), key=lambda gap: gap.begin)

    @property
    def infos(self) -> list[FileInfo]:
        """What there is to tell of all sources, as of one file."""
        return [FileInfo(", ".join(self.names), "live", interfaces=list(range(len(self._interfaces))))]
