"""The whole program on one page: source → decode → transforms → stages → tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, Unpack, cast

import numpy as np
import numpy.typing as npt

from spanline._decode import MOST_TUNNELS
from spanline.batch import Batch, Decode
from spanline.chunk import Chunk, Interfaces
from spanline.errors import Problem, UsageError
from spanline.parts import annotated, capture_filters, compiled, origin, programs, selects
from spanline.relay import Step, relay
from spanline.schema import PACKET_DTYPE
from spanline.sources.capture_file import FileInfo, OnWait
from spanline.sources.files import Files
from spanline.sources.live import Arrivals, Gap, LiveKeywords, LiveOptions
from spanline.transforms.reassemble import Reassemble, ReassemblyCounters

if TYPE_CHECKING:
    import pyarrow as pa

    from spanline.filters import Filter
    from spanline.sources.listening import Listening
    from spanline.transforms.bpf import CaptureFilter
    from spanline.transforms.filter import Select
    from spanline.workers.sharing import Sharing

PathLike = str | os.PathLike[str]


class Transform(Protocol):
    """Changes what the stages see, with bounded state: reassembly, removal of copies, order, annotation, filter.

    As those of a Stage, threads share the work when it has `steps`: functions like feed() that do its work together.
    """

    def feed(self, batch: Batch) -> Iterable[Batch]: ...

    def flush(self) -> Iterable[Batch]: ...


class Stage(Protocol):
    """One analysis. It sees every batch once and gives Tables.

    Several threads work on a stage at once when it has `steps`: functions of a batch that together do what update()
    does. Each of them takes the batches one at a time, in their order.
    """

    def update(self, batch: Batch) -> None:
        """Takes a batch in; nothing of it is kept, as its memory may be borrowed from the kernel.

        A batch of a live capture has a `clock`, and on an idle link no rows: what waits for time to pass, such as the
        end of flows, happens by it.
        """

    def drain(self) -> Mapping[str, pa.Table]:
        """What is finished, and is then forgotten: so that memory does not grow with the capture."""

    def merge(self, other: Self) -> None:
        """Joins what another stage of the same kind saw of the same traffic; that one is over then."""

    def state(self) -> Mapping[str, Any]:
        """All that it knows, as plain values and bytes: a new stage with the same options goes on by restore()."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on exactly where state() was taken."""

    def tables(self) -> Mapping[str, pa.Table]:
        """What drain() did not give yet, with all that is unfinished ended. The stage is over."""


@dataclass(slots=True)
class Counters:
    """What became of every frame: read = decoded + undecodable, decoded = filtered out + flow packets + non-flow."""

    read: int = 0
    undecodable: int = 0
    """Frames of which no layer up to the network layer could be read."""
    filtered_out: int = 0
    """Decoded frames that a filter left out."""

    @property
    def decoded(self) -> int:
        return self.read - self.undecodable


class Capture:
    """Captured frames, from one or several files or from live sources, as batches in order of time.

    Iterating reads the files from their beginning each time (standard input only once), or captures anew. `problems`,
    `counters`, `files`, `interfaces`, `reassembly`, `arrivals` and `gaps` tell of the latest iteration and are complete
    at its end.
    """

    def __init__(
        self,
        paths: Sequence[PathLike],
        *,
        vxlan_port: int | Collection[int] = 4789,
        geneve_port: int | Collection[int] = 6081,
        verify_checksums: bool = False,
        reassemble: bool = True,
        capture_filter: str | None = None,
        inner_filter: str | None = None,
        display_filter: str | Filter | None = None,
        requires: Collection[str] = (),
        threads: int = 1,
        live: LiveOptions | None = None,
    ) -> None:
        self._programs = programs(capture_filter), programs(inner_filter)
        self._display_filter = compiled(display_filter)
        asked = () if self._display_filter is None else self._display_filter.fields
        self.requires = frozenset(requires).union(*(field.requires for field in asked))
        self._ports = {vxlan_port} if isinstance(vxlan_port, int) else set(vxlan_port)
        self.geneve_ports = {geneve_port} if isinstance(geneve_port, int) else set(geneve_port)
        """UDP destination ports that carry GENEVE."""
        ports = self._ports, self.geneve_ports
        self._origin = origin([os.fspath(path) for path in paths], live, capture_filter, *ports)
        self._threads = threads
        self._verify_checksums = verify_checksums
        self._reassemble = reassemble
        self.on_wait: OnWait | None = None
        """Called every moment while a pipe gives nothing, with its name and for how many seconds that has lasted."""
        self._is_open = False
        self._reset()

    def _reset(self) -> None:
        self.problems: list[Problem] = []
        self.counters = Counters()
        self.interfaces = Interfaces()
        self._datagrams: Reassemble | None = None

    def open(self) -> None:
        """Opens live sources: their frames count from now on, and who opened them may give up privileges.

        Otherwise that happens when an iteration begins. Raises CaptureError when there is no such interface, or no
        permission.
        """
        self._reset()
        if self.listening is not None:
            from spanline.protocols.patterns import patterns

            patterns()  # frames do not wait while a stage loads it for the first conversation that it cannot name
        several_threads = self._threads > 1 and self.bytes_total is not None
        self._origin.open(self.interfaces, self.problems, self.on_wait, several_threads)
        self._is_open = True

    def stop(self) -> None:
        """Ends a live capture soon, after what has come until now; from any thread, and from signal handlers."""
        if self.listening is not None:
            self.listening.stop()

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.run():
            yield batch.own()

    def run(self, *stages: Stage, transforms: Sequence[Transform] = ()) -> Iterator[Batch]:
        """Takes every batch through the transforms, in their order, into all stages, and then gives it out.

        A batch of a live capture is borrowed until the next step: what is kept of it keeps its memory from the kernel,
        which then drops frames. Batch.own() is a copy, and iterating over the Capture gives such. While a link is idle,
        batches without rows come.

        Give each step of the iteration to drain() and progress; a stage's tables() follow when it is over. Raises
        CaptureError, at the end, when none of the files is a capture.
        """
        if not self._is_open:
            self.open()
        self._is_open = False
        if self.listening is not None and self.listening.options.workers > 1:
            yield from cast("Sharing", self.listening).run(self, stages, transforms)
        else:
            yield from self.analyse(self._origin.chunks(), stages, transforms)

    def analyse(
        self,
        chunks: Generator[Chunk],
        stages: Sequence[Stage],
        transforms: Sequence[Transform] = (),
        own: Sequence[Transform] = (),
    ) -> Iterator[Batch]:
        """What run() does with the chunks of its sources, of which a worker has a share.

        own  transforms behind reassembly that leave out what is other workers'
        """
        decode = Decode(
            vxlan_port=self.vxlan_ports,
            geneve_port=self.geneve_ports,
            verify_checksums=self._verify_checksums,
            reassemble=self._reassemble,
        )
        datagrams = self._datagrams = Reassemble()
        before, after = capture_filters(*self._programs)
        if self.listening is not None and self.listening.filters:
            before = []
        last = selects(self._display_filter)
        filters: list[CaptureFilter | Select] = [*before, *after, *last]
        transforms = [*annotated(transforms, self.requires), *last]
        # What comes through a pipe is shown at once, and not when the next chunk has come.
        several = self.bytes_total is not None or (self.listening is not None and not own)
        threads = self._threads if several else 1
        try:
            steps = _steps(decode, [*before, datagrams, *own, *after], transforms, stages)
            for work in relay(map(_Work, chunks), steps, threads):
                self.counters.read = decode.frames
                self.counters.undecodable = decode.decoder.undecodable
                self.counters.filtered_out = sum(one.filtered_out for one in filters)
                yield from work.batches
            for n, transform in enumerate(transforms):
                for batch in transform.flush():
                    for out in _through(batch, transforms[n + 1 :]):
                        for stage in stages:
                            stage.update(out)
                        self.counters.filtered_out = sum(one.filtered_out for one in filters)
                        yield out
        finally:
            chunks.close()
            self._report_depth(decode)
            self._report_unfiltered([*before, *after])

    @property
    def vxlan_ports(self) -> set[int]:
        """UDP destination ports that carry VXLAN, unless they are among the `geneve_ports`."""
        return self._ports | (self.listening.vxlan_ports if self.listening else set())

    def _report_depth(self, decode: Decode) -> None:
        count, first = decode.decoder.too_deep
        if count:
            frames = f"{count} frames have" if count > 1 else "a frame has"
            what = f"{frames} more than {MOST_TUNNELS} tunnels inside one another"
            where = f"frame {first}" + (" of all" if len(self.files) > 1 else "")
            hint = f"counted as the {MOST_TUNNELS}th's"
            self.problems.append(Problem(self.files[0].path, "tunnels", what, where, hint))

    def _report_unfiltered(self, filters: Sequence[CaptureFilter]) -> None:
        for link_type, (count, interface, reason) in (item for one in filters for item in one.refused.items()):
            frames = (
                f"{count} frames of link type {link_type} are" if count > 1 else f"a frame of link type {link_type} is"
            )
            self.problems.append(Problem(interface.path, "filter", f"{frames} left out", hint=f"libpcap: {reason}"))

    @property
    def reassembly(self) -> ReassemblyCounters:
        """What became of fragmented datagrams. One that was never completed is no problem of the file."""
        if self._datagrams is not None:
            return self._datagrams.counters
        elsewhere = self.listening.reassembly if self.listening is not None else None
        return elsewhere or ReassemblyCounters()

    @property
    def files(self) -> list[FileInfo]:
        return self._origin.infos

    @property
    def listening(self) -> Listening | None:
        """The live sources, None where files are read."""
        return None if isinstance(self._origin, Files) else self._origin

    @property
    def arrivals(self) -> Arrivals:
        """What became of the frames that came to live sources; those of files are not counted here."""
        return self.listening.arrivals if self.listening else Arrivals()

    @property
    def gaps(self) -> list[Gap]:
        """When live sources could capture nothing, by time."""
        return self.listening.gaps if self.listening else []

    @property
    def bytes_total(self) -> int | None:
        """Size of all files, None when one of them has none (standard input, live sources)."""
        return self._origin.bytes_total

    @property
    def bytes_read(self) -> int:
        """How much of bytes_total was read so far."""
        return self._origin.bytes_read

    def packets(self) -> npt.NDArray[np.void]:
        """All frames as one structured array (schema.PACKET), 128 bytes each: for captures that fit into memory.

        Offsets in it point into buffers that are gone.
        """
        parts = [batch.packets.copy() for batch in self.run()]
        return np.concatenate(parts) if parts else np.empty(0, PACKET_DTYPE)


@dataclass(slots=True)
class _Work:
    """A chunk on its way through the steps."""

    chunk: Chunk
    batches: list[Batch] = field(default_factory=list)


def _steps(
    decode: Decode, with_decode: Sequence[Transform], transforms: Sequence[Transform], stages: Sequence[Stage]
) -> list[Step[_Work]]:
    """What is done with each chunk, in parts of which each takes one chunk at a time.

    with_decode  transforms that use the decoder: no other chunk is decoded meanwhile
    """

    def decode_chunk(work: _Work) -> None:
        work.batches = list(_through(decode(work.chunk), with_decode))

    def through(part: Callable[[Batch], Iterable[Batch]]) -> Step[_Work]:
        def feed(work: _Work) -> None:
            work.batches = [out for batch in work.batches for out in part(batch)]

        return feed

    def into(part: Callable[[Batch], None]) -> Step[_Work]:
        def update(work: _Work) -> None:
            for batch in work.batches:
                part(batch)

        return update

    changes = [part for transform in transforms for part in getattr(transform, "steps", (transform.feed,))]
    parts = [part for stage in stages for part in getattr(stage, "steps", (stage.update,))]
    return [decode_chunk, *map(through, changes), *map(into, parts)]


def _through(batch: Batch, transforms: Sequence[Transform]) -> Iterator[Batch]:
    if not transforms:
        yield batch
        return
    for fed in transforms[0].feed(batch):
        yield from _through(fed, transforms[1:])


def open(
    paths: PathLike | Sequence[PathLike],
    *,
    vxlan_port: int | Collection[int] = 4789,
    geneve_port: int | Collection[int] = 6081,
    verify_checksums: bool = False,
    reassemble: bool = True,
    capture_filter: str | None = None,
    inner_filter: str | None = None,
    display_filter: str | Filter | None = None,
    requires: Collection[str] = (),
    threads: int = 1,
    **live: Unpack[LiveKeywords],
) -> Capture:
    """Opens a capture: a file, a pattern, a folder, "-" for standard input, or a list of these; or live sources,
    "live:eth0" for an interface, "udp:4789" for VXLAN datagrams, "udp:6081" for those of GENEVE.

    vxlan_port        UDP destination port that carries VXLAN, or several
    geneve_port       the same of GENEVE; of a port in both, this counts
    verify_checksums  compute TCP, UDP and ICMP checksums; off, because offloading makes them wrong at the sender
    reassemble        put fragmented IP datagrams together (transforms.reassemble.Reassemble); without, each frame is
                      shown by itself, and only the first fragment of a datagram has ports
    capture_filter    only frames that this filter in libpcap's language selects (transforms.bpf.CaptureFilter)
    inner_filter      the same language, after decapsulation (transforms.bpf.InnerFilter)
    display_filter    only frames that this filter in the language of tshark's -Y matches (spanline.filters)
    requires          what is to be found out about each frame (Field.requires), beside what the display filter needs
    threads           that work on different chunks at the same time; what they find is the same as with one
    live              how to capture, as in sources.live.LiveOptions: duration=60 ends it after a minute

    Returns a Capture, to be iterated as batches. Raises CaptureError when a folder or pattern has no files, UsageError
    for a wrong filter; what is wrong inside files is found in `problems` after reading. Interfaces are opened when an
    iteration begins, or by Capture.open().
    """
    names = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not names:
        raise UsageError("no capture is named", hint="give a file, a folder or a pattern")
    return Capture(
        names,
        vxlan_port=vxlan_port,
        geneve_port=geneve_port,
        verify_checksums=verify_checksums,
        reassemble=reassemble,
        capture_filter=capture_filter,
        inner_filter=inner_filter,
        display_filter=display_filter,
        requires=requires,
        threads=threads,
        live=LiveOptions(**live) if live else None,
    )
