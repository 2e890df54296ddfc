"""Live sources: what every way of capturing has in common.

`live:IFACE` stands where a path may stand, and so do `udp:[ADDRESS:]PORT`, for datagrams that carry VXLAN. A file of
such a name is read as `./live:eth0`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict

if TYPE_CHECKING:  # the names of sources are for the command line, too, which has no time for numpy
    from collections.abc import Iterator

    from spanline.chunk import Chunk

Engine = Literal["auto", "ring", "libpcap"]
"""How frames are taken from an interface: Linux' mapped ring, or libpcap; auto is the ring where there is one."""

PREFIXES = ("live:", "udp:")

TICK = 0.5
"""Seconds. An idle source gives an empty chunk so often, for what has to happen without frames."""


SET_BACK = 2_000_000_000
"""ns. The clock of a source that is further ahead was set back meanwhile: no frame is given out so late."""


def clock_after(clock: int, moment: int) -> int:
    """What Chunk.clock becomes when everything up to `moment` has been given out, and everything up to `clock` before.

    It does not go back, but with the machine's own: who waits for time to pass would take all that comes for old.
    """
    return moment if clock - moment > SET_BACK else max(clock, moment)


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How to capture.

    duration     seconds after which it ends; None for never
    snaplen      bytes of each frame to keep
    promiscuous  take frames of other stations too, as a mirror needs
    block_bytes  of one block of the ring, a multiple of the page size
    blocks       of the ring: memory is block_bytes × blocks
    workers      processes that share what comes, each with a ring: spanline.workers
    filter       libpcap's language, applied where frames come in; what it leaves out is not counted anywhere
    """

    engine: Engine = "auto"
    duration: float | None = None
    snaplen: int = 262144
    promiscuous: bool = True
    block_bytes: int = 1 << 23
    blocks: int = 8
    workers: int = 1
    filter: str | None = None


class LiveKeywords(TypedDict, total=False):
    """LiveOptions as keywords, but its filter: that is the capture's, and applied later where a source has no such."""

    engine: Engine
    duration: float | None
    snaplen: int
    promiscuous: bool
    block_bytes: int
    blocks: int
    workers: int


@dataclass(slots=True)
class Arrivals:
    """What became of the frames that came: offered = read + dropped, exactly, once chunks() is over."""

    offered: int = 0
    """Frames that passed the filter where they come in, read or not."""
    read: int = 0
    """Frames given out."""
    dropped: dict[str, int] = field(default_factory=dict)
    """By cause: "ring" (no room in the ring or the socket), "interface" (before the kernel's socket, where libpcap
    tells), "queue" (between workers), "worker" (with one that died)."""

    @property
    def lost(self) -> int:
        return sum(self.dropped.values())


@dataclass(frozen=True, slots=True)
class Gap:
    """Time in which nothing could be captured.

    what   went wrong: "down" (the link), "gone" (the interface was deleted)
    begin  ns since the epoch, when it was noticed
    end    when frames could come again; None when capturing ended before
    """

    interface: str
    what: str
    begin: int
    end: int | None


class LiveSource(Protocol):
    """Frames as they come, as chunks; opened when it is made, so that what is wrong is told at once.

    Making one raises CaptureError (no such interface, no permission: the hint says what to do).

    name      as the user gave it, "live:eth0"
    arrivals  so far; complete when chunks() is over
    gaps      so far

    Some have more to say:

    kernel_filters  whether LiveOptions.filter is applied where frames come in; False, too, where it is not known
    warnings        what the user may want to change, a line each
    longer          frames so far that are longer than the interface's MTU allows: something put segments together
    vxlan_port      UDP destination port of frames that carry VXLAN, beside those that the capture knows, unless this
                    knows it for GENEVE's
    """

    name: str
    arrivals: Arrivals

    @property
    def gaps(self) -> list[Gap]: ...

    def chunks(self) -> Iterator[Chunk]:
        """What comes, at once when there is something, until stop() or the duration's end.

        A chunk may borrow memory of the kernel: it goes back when nobody refers to the chunk's arrays any more, and
        frames are dropped, and counted, when none is left. An idle source gives a chunk without records every TICK.
        `Chunk.clock` says up to when everything has been given out.
        """

    def stop(self) -> None:
        """Ends chunks() soon, after what has come until now; from any thread, and from signal handlers."""

    def refresh(self) -> None:
        """Brings `arrivals` up to date, for a status line."""

    def close(self) -> None:
        """Gives everything back to the system."""
