"""Frames of a network interface out of Linux' TPACKET_V3 ring, read where the kernel left them."""

from __future__ import annotations

import errno
import math
import mmap
import os
import select
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spanline._ring import Ring
from spanline.blocks import MAC_ADDRESS, SPEED
from spanline.chunk import Chunk, Interface, Interfaces
from spanline.errors import CaptureError, UsageError
from spanline.filters.bpf import Programs, kernel_program
from spanline.pool import Pool
from spanline.schema import RECORD_DTYPE
from spanline.sources.device import Device, device, offloads, speed
from spanline.sources.link import LinkWatch, no_such_interface, not_permitted
from spanline.sources.live import TICK, Arrivals, Gap, LiveOptions, clock_after

RETIRE_MS = 100
"""After which a block with frames goes out that is not full."""

SHARED_RETIRE_MS, SHARED_TICK = 50, 0.05
"""Of sources that share what comes: others wait until each has told up to when it has given out everything."""

_ETHERNET, _RAW, _RADIOTAP = 1, 101, 127
# linux/if_arp.h; of tunnels and of what has no link header, frames begin with IP.
_LINK_TYPES = {1: _ETHERNET, 772: _ETHERNET, 519: _RAW, 65534: _RAW, 768: _RAW, 769: _RAW, 776: _RAW, 803: _RADIOTAP}
_HEADERS = 148
"""Bytes of a block that its only frame cannot have, at most: tpacket_rcv() of Linux' net/packet/af_packet.c."""
_TAGS = 8
"""Bytes that a frame may be longer than its header and the interface's MTU: two VLAN tags."""
_DISORDER = 1_000_000
"""ns. Two processors that receive at once may put frames into a block in the wrong order: by µs, this is ample."""
_WAITING = 4
"""Times RETIRE_MS. How long a frame may wait in a block that is not full: twice that time, and twice that."""
_PATIENCE = 1.0
"""Seconds without a frame after which no more is expected of a block that was begun."""
_ASKED = 1.0
"""Seconds after which the kernel is asked what it has counted: its counters have 32 bits."""


class RingSource:
    """Frames of a network interface, as live.LiveSource says.

    interface   its name
    interfaces  of the capture: this one is added
    fanout      (group, mode) of PACKET_FANOUT: one of several sources that share what comes

    kernel_filters  whether the kernel applies `options.filter`; else that is left to transforms.bpf.CaptureFilter, and
                    what it leaves out counts as read: see filters.bpf.kernel_program()
    longer          frames so far that were longer than the interface's MTU allows: the network card or the kernel put
                    segments together (device.offloads())

    Raises UsageError for a wrong filter and impossible sizes, else CaptureError. An interface that was deleted and made
    anew is taken again without any privilege, except by a source that shares: its chunks() raise CaptureError.
    """

    def __init__(
        self,
        interface: str,
        interfaces: Interfaces,
        options: LiveOptions,
        *,
        fanout: tuple[int, int] | None = None,
    ) -> None:
        _check_sizes(options)
        self.name = f"live:{interface}"
        self.arrivals = Arrivals(dropped={"ring": 0})
        self.kernel_filters = True
        self.warnings = _warnings(interface)
        self.longer = 0
        self._interface = interface
        self._interfaces = interfaces
        self._options = options
        self._fanout = fanout
        self._retire_ms = RETIRE_MS if fanout is None else SHARED_RETIRE_MS
        self._tick = TICK if fanout is None else SHARED_TICK
        self._records = Pool()
        self._unreadable = 0
        self._stopped = self._closed = False
        # Whoever stops may be a thread of its own, and the number of a closed descriptor soon means something else.
        self._closing = threading.RLock()
        self._clock = 0
        self._asked = time.monotonic()
        self._number = -1
        self._watch = LinkWatch(interface)
        link = self._watch.look()
        self._life = link.life
        try:
            if not link.index:
                raise no_such_interface(interface)
            try:
                self._ring = self._opened()
                self._bind(link.index)
                self.warnings += self._cuts()
            except OSError as error:
                raise error if isinstance(error, CaptureError) else self._refusal(error) from error
        except BaseException:
            self._watch.close()
            raise
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        # The ring stays readable while the block given out last is lent: only what is new may wake.
        self._epoll.register(self._ring.fileno(), select.EPOLLIN | select.EPOLLERR | select.EPOLLET)
        self._epoll.register(self._wake, select.EPOLLIN)
        news = self._watch.fileno()
        if news is not None:
            self._epoll.register(news, select.EPOLLIN)

    @property
    def gaps(self) -> list[Gap]:
        return self._watch.gaps

    def chunks(self) -> Iterator[Chunk]:
        """See live.LiveSource."""
        begun = idle_since = time.monotonic()
        end = begun + self._options.duration if self._options.duration is not None else math.inf
        while not self._stopped and (now := time.monotonic()) < end:
            chunk = self._next()
            if chunk is None:
                if now - idle_since < self._tick:
                    self._wait(min(end, idle_since + self._tick) - now)
                    continue
                chunk = Chunk(np.empty(0, np.uint8), np.empty(0, RECORD_DTYPE), self._interfaces, self._clock)
            idle_since = now
            # The kernel forgets what it has told: whoever takes the chunk learns of it before anything else happens.
            if now - self._asked >= _ASKED:
                self.refresh()
            yield chunk
        yield from self._rest()

    def stop(self) -> None:
        """See live.LiveSource."""
        self._stopped = True
        with self._closing:
            if not self._closed:
                os.eventfd_write(self._wake, 1)

    def refresh(self) -> None:
        """See live.LiveSource."""
        self._asked = time.monotonic()
        self.arrivals.offered, dropped, _ = self._ring.statistics()
        self.arrivals.dropped["ring"] = dropped + self._unreadable

    def close(self) -> None:
        """See live.LiveSource. What was given out stays valid."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._ring.close()
        self._watch.close()
        self._epoll.close()
        os.close(self._wake)

    def fileno(self) -> int:
        """The socket's."""
        return self._ring.fileno()

    def take_over(self, gives_up: bool) -> None:
        """In a process that was forked: it has this source from now on.

        gives_up  another one had it since, and died: what it left is not read
        """
        self._closing = threading.RLock()  # somebody may have held it, who is not in this process
        self._ring.take_over(gives_up)

    def _opened(self) -> Ring:
        options, found = self._options, device(self._interface)
        return Ring(options.block_bytes, options.blocks, self._retire_ms, found.is_loopback)

    def _bind(self, index: int) -> None:
        """Frames come from now on. Raises OSError."""
        found, options = device(self._interface), self._options
        link_type = _LINK_TYPES.get(found.kind)
        if link_type is None:
            what = f"{self.name}: frames of its kind (ARPHRD {found.kind}) are not read from the ring"
            raise CaptureError(what, hint="use --source libpcap")
        if self._number < 0 or self._interfaces[self._number].link_type != link_type:
            self._number = self._interfaces.add(
                Interface(
                    self.name,
                    link_type,
                    options.snaplen,
                    1e-9,
                    name=self._interface,
                    filter=options.filter or "",
                    options=_hardware(self._interface, found),
                )
            )
        self._longest = found.mtu + 14 + _TAGS if link_type == _ETHERNET else found.mtu
        program = _program(options.filter, link_type, options.snaplen)
        self.kernel_filters = program is not None
        if program is None:
            program = _program(None, link_type, options.snaplen)
        self._ring.bind(index, options.promiscuous, program, self._fanout)

    def _cuts(self) -> list[str]:
        """A line, where a block has no room for the longest frame of the link: the kernel cuts it without a word."""
        size, longest = self._options.block_bytes, min(self._longest, self._options.snaplen)
        if longest + _HEADERS <= size:
            return []
        what = f"{self.name}: a block of {size:,} bytes has no room for a frame of {longest:,}, which is cut"
        return [f"{what}; give --block-size {1 << (longest + _HEADERS - 1).bit_length() >> 10}K"]

    def _refusal(self, error: OSError) -> CaptureError:
        """What `error` of _ring means to a user."""
        if error.errno in (errno.EPERM, errno.EACCES):
            return not_permitted(self.name)
        if error.strerror == "memory":
            options = self._options
            size = f"{options.blocks} blocks of {options.block_bytes:,} bytes"
            return CaptureError(f"{self.name}: the system gives no ring of {size}", hint="ask for fewer, --blocks")
        if error.errno in (errno.ENODEV, errno.ENXIO):
            return no_such_interface(self._interface)
        reason = os.strerror(error.errno or 0).lower()
        return CaptureError(f"{self.name}: {error.strerror}: {reason}", hint="try --source libpcap")

    def _next(self) -> Chunk | None:
        """What the next block has; None when it is not full yet."""
        now = time.time_ns()
        block = self._ring.take()
        if block is None:
            self._clock = clock_after(self._clock, now - _WAITING * self._retire_ms * 1_000_000)
            return None
        records = self._records.take_rows(RECORD_DTYPE, block.frames)
        is_ethernet = self._interfaces[self._number].link_type == _ETHERNET
        count, longer, *counted = block.list(
            records.view(np.uint8), self._number, is_ethernet, self._options.snaplen, self._longest
        )
        self.longer += longer
        self.arrivals.read += count
        self._unreadable += len(records) - count
        if count:
            self._clock = clock_after(self._clock, int(records["timestamp"][count - 1]) - _DISORDER)
        buffer = np.frombuffer(memoryview(block), np.uint8)
        return Chunk(buffer, records[:count], self._interfaces, self._clock, True, (counted[0], counted[1]))

    def _wait(self, seconds: float) -> None:
        """Until there may be something new. Signal handlers run meanwhile."""
        for descriptor, _ in self._epoll.poll(max(0.0, seconds)):
            if descriptor == self._ring.fileno():
                self._ring.error()
            elif descriptor != self._wake:
                self._look()

    def _look(self) -> None:
        """Takes the interface again when it was made anew: the ring, its frames and counters stay as they are."""
        link = self._watch.look()
        if not link.index or link.life == self._life:
            return
        if self._fanout is not None:
            what = f"{self.name}: the interface was deleted and made anew"
            raise CaptureError(what, hint="several workers cannot follow it: start again")
        try:
            self._bind(link.index)
        except OSError as error:
            if isinstance(error, CaptureError):
                raise
            return  # gone again: there will be news of it
        self._life = link.life

    def _rest(self) -> Iterator[Chunk]:
        """What has come until now."""
        self._ring.refuse()
        limit = time.monotonic() + _PATIENCE
        while True:
            chunk = self._next()
            if chunk is not None:
                limit = time.monotonic() + _PATIENCE
                yield chunk
            elif self._ring.has_begun and time.monotonic() < limit:
                time.sleep(self._retire_ms / 5000)
            else:
                break
        self.refresh()


def _warnings(interface: str) -> list[str]:
    found = offloads(interface)
    if not found:
        return []
    switch = " ".join(f"{name} off" for name in found)
    what = f"{interface} puts frames together before they are captured ({' and '.join(found)} on)"
    return [f"{what}; switch it off: ethtool -K {interface} {switch}"]


def _hardware(interface: str, found: Device) -> list[tuple[int, bytes]]:
    """What a capture file says of the hardware: options of pcapng's interface description."""
    options = [(MAC_ADDRESS, found.address)] if any(found.address) else []
    bits = speed(interface)
    return options if bits is None else [*options, (SPEED, struct.pack("=Q", bits))]


def _program(text: str | None, link_type: int, snaplen: int) -> npt.NDArray[np.uint8] | None:
    """Raises UsageError for a wrong filter."""
    if text is not None:
        Programs(text)
    return kernel_program(text, link_type, snaplen)


def _check_sizes(options: LiveOptions) -> None:
    if options.block_bytes % mmap.PAGESIZE or not mmap.PAGESIZE <= options.block_bytes < 1 << 31:
        what = f"a block of the ring cannot have {options.block_bytes:,} bytes"
        raise UsageError(what, hint=f"a multiple of the page size, {mmap.PAGESIZE:,}, below 2 GiB")
    if not 2 <= options.blocks < 1 << 20:
        raise UsageError(f"a ring cannot have {options.blocks:,} blocks", hint="at least 2")
    # The kernel would rather end other processes than refuse.
    size, most = options.block_bytes * options.blocks, _available_memory() // 2
    if size > most:
        what = f"a ring of {options.blocks:,} blocks of {options.block_bytes:,} bytes"
        raise UsageError(f"{what} is more than half of the free memory, {most:,} bytes", hint="ask for fewer, --blocks")
    if options.snaplen < 1:
        raise UsageError(f"{options.snaplen:,} bytes of a frame cannot be kept", hint="at least 1")


def _available_memory() -> int:
    """Bytes, without swapping: proc(5)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
