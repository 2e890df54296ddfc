"""`udp:[ADDRESS:]PORT`: the datagrams of a VXLAN or GENEVE mirror from a UDP socket, without raw sockets and without
privileges.

Whoever holds the port gets the datagrams, and answers no ICMP port unreachable. A socket keeps their headers to itself:
a frame is an IP header, a UDP header and the datagram, of LINKTYPE_RAW, and of the headers only addresses, ports and
lengths are the true ones. The rest is as follows: no Ethernet header; no options, no fragments (the kernel puts them
together); identification, traffic class and flow label 0; 64 hops; a right header checksum; no UDP checksum in IPv4, a
right one in IPv6. The inner frames are untouched.

Elsewhere than on Linux nobody tells how many datagrams found no room, nor to which of the machine's addresses one was
sent; times are those of reading.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

from spanline import _datagrams
from spanline.chunk import Chunk, Interface, Interfaces
from spanline.errors import CaptureError
from spanline.pool import Pool
from spanline.schema import RECORD_DTYPE
from spanline.sources.endpoints import Endpoint, parse_endpoint, refusal
from spanline.sources.live import TICK, Arrivals, Gap, LiveOptions

PREFIX = "udp:"

_LINUX = sys.platform == "linux"

LINK_TYPE = 101
"""LINKTYPE_RAW: a frame begins with its IP header."""

_GATHER_NS = 10_000_000
"""What comes within this time after the first datagram makes one chunk."""

_SMALL = 768
"""Bytes that the kernel counts for a small datagram in a socket's buffer (its truesize)."""

_MOST_RECORDS = 8192
"""Of a chunk, so that its rows stay in the cache."""

_SMALLEST = 256
"""Bytes that a datagram takes at least there."""

_TAKEN = 64
"""Datagrams that may have been received and have not been given out (ext/datagram_socket.h)."""

_SHOW_HOLDER = " (sudo ss -lunp 'sport = {}')" if _LINUX else ""

# include/uapi/asm-generic/socket.h, include/uapi/linux/sock_diag.h; Python does not name them.
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS, _SO_MEMINFO = 33, 35, 55
_MEMINFO = struct.Struct("=9I")
_RMEM_ALLOC, _DROPS = 0, 8
_IP_PKTINFO, _IPV6_RECVPKTINFO = 8, 49

_MAPPED = bytes(10) + b"\xff\xff"
_ANY, _ANY_IPV4 = bytes(16), _MAPPED + bytes(4)


class _Receiver(Protocol):
    def receive(self, frames: _datagrams.Frames, wait: int, nap: int) -> bool: ...


class UdpSource:
    """A LiveSource (sources/live.py) of the datagrams that come to a UDP port.

    vxlan_port  the port: frames in which it is the destination are VXLAN, also when it is not 4789, unless the capture
                knows it for GENEVE's
    warnings    lines for the user, about what was granted

    `LiveOptions.filter`, `promiscuous` and `engine` mean nothing to a socket; its buffer is asked to have as many bytes
    as the blocks together. Raises CaptureError when the port cannot be had, UsageError for a wrong name.
    """

    def __init__(self, name: str, interfaces: Interfaces, options: LiveOptions) -> None:
        self.name = name
        self.arrivals = Arrivals(dropped={"ring": 0} if _LINUX else {})
        self.gaps: list[Gap] = []
        self.warnings: list[str] = []
        endpoint = parse_endpoint(name.removeprefix(PREFIX), name)
        self.vxlan_port = endpoint.port
        self._interfaces = interfaces
        self._options = options
        self._block_bytes = max(options.block_bytes, 2 * _datagrams.LONGEST_FRAME)
        self._pool = Pool()
        self._socket = _bound(name, endpoint)
        try:
            self._buffer_bytes = self._ask_for_room(options.block_bytes * options.blocks)
            self._receiver = self._prepare()
        except BaseException:
            self._socket.close()
            raise
        self._number = interfaces.add(
            Interface(name, LINK_TYPE, options.snaplen, 1e-9, name=name, description="datagrams of a UDP socket")
        )
        self._drops_seen = 0
        self._stopped = False
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def _prepare(self) -> _Receiver:
        if not _datagrams.HAS_RECEIVER:
            return _PortableReceiver(self._socket)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        if self._socket.family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        return _datagrams.Receiver(self._socket.fileno(), self.vxlan_port)

    def _ask_for_room(self, wanted: int) -> int:
        """Gives what the socket's buffer holds, in bytes as the kernel counts them."""
        wanted = min(wanted, 2**30 - 1)
        asked = [_SO_RCVBUFFORCE] if _LINUX else []
        for option in (socket.SO_RCVBUF, *asked):
            # Only who has CAP_NET_ADMIN may use force, and BSD refuses more than its limit.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, wanted)
        granted = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        # Linux doubles what is asked for, because it also counts what it needs itself for each datagram.
        usable = granted // 2 if _LINUX else granted
        if usable < wanted // 2:
            hint = f"sudo sysctl -w net.core.rmem_max={wanted}, or CAP_NET_ADMIN" if _LINUX else ""
            self.warnings.append(
                f"{self.name}: the socket's buffer is {usable >> 10:,} KiB of the {wanted >> 10:,} KiB asked for: "
                f"bursts may be lost, and are counted" + (f" ({hint})" if hint else "")
            )
        return granted

    def chunks(self) -> Iterator[Chunk]:
        duration = self._options.duration
        until = None if duration is None else time.monotonic() + duration
        while not self._stopped:
            left = TICK if until is None else until - time.monotonic()
            if left <= 0:
                break
            self._selector.select(min(TICK, left))
            if not self._stopped:
                yield self._take(_GATHER_NS)[0]
        yield from self._rest()
        self.refresh()

    def _rest(self) -> Iterator[Chunk]:
        """What had come until now. A sender that goes on does not keep this from ending."""
        left = _TAKEN + (self._memory()[_RMEM_ALLOC] if _LINUX else self._buffer_bytes) // _SMALLEST
        is_empty = False
        while not is_empty and left > 0:
            chunk, is_empty = self._take(0)
            left -= len(chunk.records)
            if len(chunk.records):
                yield chunk

    def _take(self, gather_ns: int) -> tuple[Chunk, bool]:
        """What there is, and whether that was all.

        A chunk has no more datagrams than the socket holds: while they are analysed, as many can come.
        """
        most = max(64, min(self._buffer_bytes // _SMALL, _MOST_RECORDS))
        buffer = self._pool.take(self._block_bytes)
        records = self._pool.take_rows(RECORD_DTYPE, most)
        frames = _datagrams.Frames(buffer, records.view("u1"), self._options.snaplen, self._number)
        clock = time.time_ns()
        # Half of what the buffer fills up in, at a million small datagrams a second.
        nap = min(1_000_000, self._buffer_bytes * 1000 // _SMALL // 2)
        empty = self._receiver.receive(frames, gather_ns, nap)
        records = records[: frames.count]
        self.arrivals.read += len(records)
        self.refresh()
        if len(records):
            last = int(records["timestamp"][-1])
            clock = max(clock, last) if empty else last
        return Chunk(buffer[: frames.size], records, self._interfaces, clock), empty

    def stop(self) -> None:
        self._stopped = True
        with contextlib.suppress(OSError):  # woken already, or closed
            self._waker.send(b"\0")

    def refresh(self) -> None:
        if _LINUX and self._socket.fileno() >= 0:
            # What found no room in the socket, or had a wrong checksum.
            now = self._memory()[_DROPS]
            # The kernel counts in 32 bits: each chunk looks, long before they are full.
            self.arrivals.dropped["ring"] += (now - self._drops_seen) & 0xFFFFFFFF
            self._drops_seen = now
        self.arrivals.offered = self.arrivals.read + self.arrivals.lost

    def _memory(self) -> tuple[int, ...]:
        """What Linux says of the socket (linux/sock_diag.h)."""
        return _MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))

    def close(self) -> None:
        self.refresh()
        self._selector.close()
        for one in (self._socket, self._woken, self._waker):
            one.close()


class _PortableReceiver:
    """Datagrams one at a time, where the system has no way to take many.

    The destination is the address that the socket is bound to, also when that is every address.
    """

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound
        address, port = bound.getsockname()[:2]
        self._own, self._port = _address_bytes(address), port
        self._pending: tuple[bytes, int, bytes, int] | None = None

    def receive(self, frames: _datagrams.Frames, wait: int, nap: int) -> bool:
        until = time.monotonic_ns() + wait
        while True:
            if self._pending is None:
                try:
                    data, (address, port, *_) = self._socket.recvfrom(_datagrams.LONGEST)
                except BlockingIOError:
                    if time.monotonic_ns() >= until:
                        return True
                    time.sleep(nap / 1e9)
                    continue
                except ConnectionResetError:  # Windows: what was sent from this port before reached nobody
                    continue
                self._pending = data, time.time_ns(), _address_bytes(address), port
            own = _ANY_IPV4 if self._own == _ANY and self._pending[2].startswith(_MAPPED) else self._own
            if not frames.add(*self._pending, own, self._port):
                return False
            self._pending = None


def _address_bytes(text: str) -> bytes:
    address = ipaddress.ip_address(text.partition("%")[0])
    return address.packed if address.version == 6 else _MAPPED + address.packed


def _bound(name: str, endpoint: Endpoint) -> socket.socket:
    """A socket that does not block; without an address it takes IPv6 and IPv4, where the machine has both."""
    try:
        if endpoint.address:
            return _open(*endpoint.resolve(socket.SOCK_DGRAM)[0])
        try:
            return _open(socket.AF_INET6, ("::", endpoint.port))
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            return _open(socket.AF_INET, ("0.0.0.0", endpoint.port))
    except OSError as error:
        who = f"a VXLAN device or another program has it{_SHOW_HOLDER.format(endpoint.port)}"
        what, hint = refusal(endpoint, error, f"{who}: take its frames with live:INTERFACE")
        raise CaptureError(f"{name}: {what}", hint=hint) from error


def _open(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.setblocking(False)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made
