"""Frames by libpcap, through pcapy-ng: the way that all systems have (Npcap on Windows, BPF devices on macOS and BSD).

libpcap copies frames and tells microseconds; Linux' ring (sources/ring.py) does neither.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pcapy

from spanline.chunk import Chunk, Interface, Interfaces
from spanline.errors import CaptureError, SpanlineError, UsageError
from spanline.filters.bpf import Programs
from spanline.pool import Pool
from spanline.schema import RECORD_DTYPE
from spanline.sources.capture_file import BACKWARDS_TOLERANCE, CHUNK_BYTES
from spanline.sources.link import LinkWatch, no_such_interface, not_permitted
from spanline.sources.live import TICK, Arrivals, LiveOptions, clock_after
from spanline.sources.packet_socket import PacketSocket

_WHOLE = 262144
"""Bytes. libpcap's own greatest snaplen: frames are cut here, as only then their length on the wire is known."""

_BUFFER_MS = 50
"""How long a frame may wait in a buffer that is not full."""

_DELAY = 250_000_000
"""ns after which a frame has been given out, if the machine is not overloaded: some times _BUFFER_MS."""

_SILENCE = 0.1
"""Seconds without a frame after which none is left in the kernel: the time of _BUFFER_MS twice."""

_PATIENCE = 1.0
"""Seconds after which what is still in the kernel is given up at the end."""

_STEP = 0.01
"""Seconds between two looks where nothing can be waited for."""

_MOST_FAULTS = 20
"""In a row, though the interface is up."""

_MOST_FRAMES = 8192
_FEW_FRAMES = 64
_MOST_MEMORY = 2**31 - 1

_NO_SUCH_DEVICE, _NOT_PERMITTED, _NOT_UP, _PROMISC_NOT_PERMITTED = -5, -8, -9, -11  # pcap/pcap.h
_META_DTYPE = np.dtype([("seconds", "u4"), ("microseconds", "u4"), ("offset", "u4"), ("length", "u4")])
# Where libpcap's own number of a link type (DLT_) is another one than that in files.
_LINK_TYPES = {11: 100, 12: 101, 14: 101, 15: 102, 16: 103, 19: 106}


class PcapSource:
    """Frames of an interface; see sources/live.py for what all live sources have in common.

    interface   by libpcap's name of it ("any" on Linux: all of them)
    interfaces  of the capture; it is entered there

    The memory of `options` is libpcap's buffer. Frames that wait in it when capturing ends are given out; elsewhere
    than on Linux nobody can keep others from coming meanwhile, and the last one that was read is the end.

    "interface" among the drops is what the interface had no room for, whatever the filter; elsewhere than on Linux,
    what libpcap calls so. An interface that is made anew goes on being read: on Linux the same socket, which needs no
    privileges any more. One that is down cannot be opened.

    Raises CaptureError, and UsageError for a wrong filter or size.
    """

    def __init__(self, interface: str, interfaces: Interfaces, options: LiveOptions) -> None:
        self.name = f"live:{interface}"
        self.arrivals = Arrivals(dropped={"ring": 0})
        self.kernel_filters = True
        self._interface = interface
        self._interfaces = interfaces
        self._options = options
        self._check()
        self._snaplen = min(options.snaplen, _WHOLE)
        self._pool = Pool()
        self._lock = threading.Lock()  # of handle and watch: libpcap knows no threads
        self._stopped = False
        self._faults, self._failed = 0, 0.0
        self._number = -1
        self._batch = _FEW_FRAMES
        self._clock = 0
        self._look_due = self._count_due = 0.0
        self._watch = LinkWatch(interface)
        self.gaps = self._watch.gaps
        self._handle: Any = None
        self._socket: PacketSocket | None = None
        try:
            self._life = self._watch.look().life
            # libpcap captures on what is no interface, too: then there is nothing to watch.
            self._is_watched = self._life > 0
            self._open()
        except BaseException:
            self.close()
            raise
        if not self._is_watched:
            self.gaps = []

    def _check(self) -> None:
        options = self._options
        if options.snaplen < 1:
            raise UsageError(f"a snaplen of {options.snaplen} keeps nothing of a frame", hint="1 is the least")
        memory = options.block_bytes * options.blocks
        if not 0 < memory <= _MOST_MEMORY:
            raise UsageError(f"libpcap cannot have {memory:,} bytes of memory", hint=f"{_MOST_MEMORY:,} are the most")
        if options.filter is not None:
            Programs(options.filter)

    def _open(self) -> None:
        options = self._options
        try:
            handle = pcapy.create(self._interface)
        except (pcapy.PcapError, ValueError) as error:
            raise no_such_interface(self._interface) from error
        handle.set_snaplen(_WHOLE)
        handle.set_promisc(int(options.promiscuous))
        handle.set_timeout(_BUFFER_MS)
        handle.set_buffer_size(options.block_bytes * options.blocks)
        status = handle.activate()
        if status < 0:
            handle.close()
            raise self._refusal(status)
        link_type = handle.datalink()
        try:
            handle.setnonblock(1)
            if options.filter is not None:
                handle.setfilter(options.filter)
        except pcapy.PcapError as error:
            handle.close()
            raise UsageError(f"filter {options.filter!r}: {error}", hint="see pcap-filter(7)") from error
        self._enter(_LINK_TYPES.get(link_type, link_type))
        self._handle = handle
        # What was dropped before the filter was there is nobody's loss.
        self._counted = self._counters(handle)
        if sys.platform == "linux":
            self._socket = PacketSocket(handle.getfd())

    def _enter(self, link_type: int) -> None:
        if self._number < 0 or self._interfaces[self._number].link_type != link_type:
            self._number = self._interfaces.add(
                Interface(
                    self.name,
                    link_type,
                    self._snaplen,
                    1e-6,
                    name=self._interface,
                    filter=self._options.filter or "",
                )
            )

    def _refusal(self, status: int) -> CaptureError:
        if status == _NO_SUCH_DEVICE or not self._watch.look().index:
            return no_such_interface(self._interface)
        if status in (_NOT_PERMITTED, _PROMISC_NOT_PERMITTED):
            return not_permitted(self.name)
        if status == _NOT_UP:
            return CaptureError(
                f"{self.name}: the link is down", hint=f"switch it on: ip link set {self._interface} up"
            )
        memory = self._options.block_bytes * self._options.blocks
        return CaptureError(
            f"{self.name}: libpcap cannot capture (its error {status})", hint=f"with less memory than {memory:,} B?"
        )

    def chunks(self) -> Iterator[Chunk]:
        """See LiveSource.chunks()."""
        now = time.monotonic()
        end = float("inf") if self._options.duration is None else now + self._options.duration
        tick = now + TICK
        while not self._stopped and now < end:
            chunk = self._take()
            if chunk is None and now >= tick:
                chunk = Chunk(np.empty(0, np.uint8), np.empty(0, RECORD_DTYPE), self._interfaces, self._clock)
            if chunk is None:
                self._wait(min(tick, end) - now)
            else:
                yield chunk
                tick = time.monotonic() + TICK
            now = time.monotonic()
            self._keep_up(now)
        yield from self._rest()

    def _rest(self) -> Iterator[Chunk]:
        if self._socket is not None:
            self._socket.refuse_all()
        began = quiet = now = time.monotonic()
        while self._socket is not None or now - began < _PATIENCE:
            if (chunk := self._take()) is not None:
                yield chunk
                quiet = time.monotonic()
            elif now - quiet > (_SILENCE if self._is_empty() else _PATIENCE):
                break
            else:
                time.sleep(_STEP)
            now = time.monotonic()
        self.refresh()

    def _is_empty(self) -> bool:
        """Whether all that came into the buffer was read, as far as anybody tells.

        Linux tells, except of frames that libpcap leaves out by itself: the second copies on the loopback interface.
        """
        with self._lock:
            if self._socket is None:
                return True
            received, dropped, _ = self._handle.stats()
            return bool((received - dropped - self.arrivals.read) % 2**32 == 0)

    def _take(self) -> Chunk | None:
        """What there is, without waiting."""
        now = time.time_ns()
        with self._lock:
            if self._handle is None:
                return None
            try:
                data, meta = self._handle.next_batch(self._batch)
            except pcapy.PcapError as error:
                self._fails(error)
                return None
        self._faults = 0
        if not meta:
            self._clock = clock_after(self._clock, now - _DELAY)
            return None
        frames = np.frombuffer(meta, _META_DTYPE)
        self._batch = max(_FEW_FRAMES, min(_MOST_FRAMES, CHUNK_BYTES * len(frames) // max(1, len(data))))
        self.arrivals.read += len(frames)
        self.arrivals.offered += len(frames)
        records = self._records(frames)
        self._clock = clock_after(self._clock, int(records["timestamp"][-1]) - BACKWARDS_TOLERANCE)
        return Chunk(np.frombuffer(data, np.uint8), records, self._interfaces, self._clock)

    def _records(self, frames: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        records = self._pool.take_rows(RECORD_DTYPE, len(frames))
        records["timestamp"] = frames["seconds"].astype(np.int64) * 1_000_000_000
        records["timestamp"] += frames["microseconds"].astype(np.int64) * 1000
        records["offset"] = frames["offset"]
        records["captured_length"] = np.minimum(frames["length"], self._snaplen)
        records["wire_length"] = frames["length"]
        records["interface"] = self._number
        records["options"] = 0
        return records

    def _wait(self, seconds: float) -> None:
        """Until there may be a frame, the link has changed, or stop() was called."""
        if self._socket is None:
            time.sleep(min(max(seconds, 0), _STEP))
        else:
            self._socket.wait(self._watch.fileno() if self._is_watched else None, seconds)

    def _fails(self, error: Exception) -> None:
        """A link that goes down is an error once on Linux, elsewhere as long as it is down."""
        now = time.monotonic()
        self._faults = self._faults + 1 if now - self._failed < TICK / 2 else 1
        self._failed = now
        if self._socket is None:
            self._count()
            self._handle.close()
            self._handle = None
            self._watch.declare(is_up=False)
        elif self._watch.look().is_up and self._faults > _MOST_FAULTS:
            raise CaptureError(f"{self.name}: {error}")
        else:
            time.sleep(_STEP)

    def _keep_up(self, now: float) -> None:
        """Follows the interface, and the counters before they have gone round."""
        if self._stopped:
            return
        if self._is_watched and (self._socket is not None or now >= self._look_due):
            self._look_due = now + TICK / 2
            with self._lock:
                link = self._watch.look()
            if link.index and (link.life != self._life or self._handle is None):
                self._follow(link.life)
        if now >= self._count_due:
            self._count_due = now + TICK
            self.refresh()

    def _follow(self, life: int) -> None:
        if self._socket is not None:
            # Whatever privileges were given up since the beginning.
            if self._socket.bind(self._interface, self._options.promiscuous):
                self._life = life
            return
        with self._lock:
            if self._handle is not None:
                self._count()
                self._handle.close()
                self._handle = None
            try:
                self._open()
            except (SpanlineError, pcapy.PcapError):
                self._watch.declare(is_up=False)
                return
        self._life = life
        self._watch.declare(is_up=True)

    def stop(self) -> None:
        """See LiveSource.stop()."""
        self._stopped = True
        if (socket := self._socket) is not None:
            socket.wake()

    def refresh(self) -> None:
        """See LiveSource.refresh()."""
        with self._lock:
            self._count()

    def _count(self) -> None:
        """Adds what the counters have grown by."""
        if self._handle is None:
            return
        try:
            now = self._counters(self._handle)
        except pcapy.PcapError:
            return
        for cause, count in now.items():
            # libpcap's counters have 32 bits. The interface's own begins again when it is made anew.
            grown = (count - self._counted[cause]) % 2**32
            if 0 < grown < 2**31:
                self.arrivals.dropped[cause] = self.arrivals.dropped.get(cause, 0) + grown
        self._counted = now
        self.arrivals.offered = self.arrivals.read + self.arrivals.lost

    def _counters(self, handle: Any) -> dict[str, int]:
        """Drops by cause."""
        _, ring, interface = handle.stats()
        # On Linux libpcap counts frames that the host has no use for as dropped, though they were captured.
        if sys.platform == "linux":
            interface = self._watch.missed() if self._is_watched else 0
        return {"ring": ring, "interface": interface}

    def close(self) -> None:
        """See LiveSource.close()."""
        self._stopped = True
        with self._lock:
            self._count()
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            if self._handle is not None:
                self._handle.close()
                self._handle = None
        self._watch.close()
