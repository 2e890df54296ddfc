"""Watching an interface: whether frames can come from it, and when they could not.

Linux tells by routing netlink (rtnetlink(7)), which misses nothing between two looks. Elsewhere only names are seen.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from spanline.errors import CaptureError
from spanline.sources.live import Gap

_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Link:
    """What there is under an interface's name.

    index  of the interface (if_nametoindex(3)); 0 when there is none
    is_up  whether it is switched on and has a carrier; elsewhere than on Linux, whether it is there
    life   counts how often an interface of this name was made: what was opened in another life gives nothing any more.
           A packet socket can be bound to the new interface, which needs no privileges
    """

    index: int = 0
    is_up: bool = False
    life: int = 0


class LinkWatch:
    """Says what became of an interface since the last look. Close it.

    interface  by its name; it may be absent for now
    gaps       so far, one for each time without frames however much happened in it; the last one's `end` is None
               while it lasts. A gap that is over when it is noticed has no length

    An interface that is renamed is still the same one; it is gone when it moves to another network namespace.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self.gaps: list[Gap] = []
        self._link = Link()
        self._times_down = self._missed = 0
        self._fails = False
        self._news = _News() if sys.platform == "linux" else None
        try:
            self._ask()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._news is not None:
            self._news.close()

    def fileno(self) -> int | None:
        """What becomes readable when there may be something new; None where there is nothing to wait for."""
        return self._news.fileno() if self._news is not None else None

    def look(self) -> Link:
        """What there is now. Costs a system call when nothing is new."""
        if self._news is None:
            self._ask()
            return self._link
        try:
            for one in self._news.read():
                if one.index == self._link.index or (not self._link.index and one.name == self.interface):
                    self._take(_Notice() if one.is_gone else one)
        except _NewsLost:
            self._ask()
        return self._link

    def missed(self) -> int:
        """Frames that the interface had no room for (rx_missed_errors), since it was made; 0 where nobody tells.

        Not the kernel's rx_dropped: frames that the host has no use for are in that, after they were captured.
        """
        self.look()
        self._ask()
        return self._missed

    def declare(self, *, is_up: bool) -> None:
        """What a reader found out, where only names are seen."""
        self._fails = not is_up
        self._ask()

    def _ask(self) -> None:
        if self._news is not None:
            found = self._news.ask(self.interface)
        else:
            index = _index(self.interface)
            found = _Notice(index, self.interface, bool(index) and not self._fails)
        if self._link.index not in (0, found.index):
            self._take(_Notice())
        self._take(found)

    def _take(self, notice: _Notice) -> None:
        before = self._link
        anew = notice.index not in (0, before.index)
        self._link = Link(notice.index, notice.is_up, before.life + anew)
        now = time.time_ns()
        if not notice.index:
            self._miss("gone", now)
        elif not notice.is_up or (before.is_up and notice.times_down != self._times_down):
            self._miss("down", now)
        if notice.is_up and self.gaps and self.gaps[-1].end is None:
            self.gaps[-1] = replace(self.gaps[-1], end=now)
        self._times_down, self._missed = notice.times_down, notice.missed

    def _miss(self, what: str, now: int) -> None:
        if not self.gaps or self.gaps[-1].end is not None:
            self.gaps.append(Gap(self.interface, what, now, None))
        elif what == "gone":
            # Who deletes an interface switches it off first.
            self.gaps[-1] = replace(self.gaps[-1], what=what)


def no_such_interface(interface: str) -> CaptureError:
    """The error, with the names that there are."""
    names = _names()
    shown = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
    return CaptureError(
        f"there is no interface {interface!r}", hint=f"there are {shown}" if names else "there are none"
    )


def not_permitted(name: str) -> CaptureError:
    """The error of a source that the system does not let capture, with what lets it."""
    hint = "run it as an administrator"
    if sys.platform == "linux" and os.geteuid() == 0:
        hint = "this root has no CAP_NET_RAW; a container gets it by --cap-add NET_RAW"
    elif sys.platform == "linux":
        program = os.path.realpath(sys.executable)
        hint = f"sudo setcap cap_net_raw+ep {program}, or run as root with --allow-root or --user"
    return CaptureError(f"{name}: capturing is not permitted", hint=hint)


@dataclass(frozen=True, slots=True)
class _Notice:
    """What is said of one interface.

    index       0 when there is none
    times_down  how often it has lost its carrier
    missed      frames that it had no room for
    """

    index: int = 0
    name: str = ""
    is_up: bool = False
    times_down: int = 0
    missed: int = 0
    is_gone: bool = False


class _NewsLost(Exception):
    """More happened than the socket holds."""


def _names() -> list[str]:
    if sys.platform == "win32":
        # Npcap's names are not those of Windows.
        import pcapy

        return list(pcapy.findalldevs())
    return [name for _, name in socket.if_nameindex()]


def _index(interface: str) -> int:
    if sys.platform == "win32":
        return int(interface in _names())
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0


if sys.platform == "linux":
    # linux/netlink.h, linux/rtnetlink.h, linux/if.h, linux/if_link.h
    _HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
    _LINK = struct.Struct("=BxHiII")  # family, kind of device, index, flags, change
    _ATTRIBUTE = struct.Struct("=HH")  # length, type
    _NLMSG_ERROR, _RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 2, 16, 17, 18
    _NLM_F_REQUEST = 1
    _RTMGRP_LINK = 1
    _IFF_LOWER_UP = 1 << 16  # only set while IFF_UP is
    _IFLA_IFNAME, _IFLA_STATS64, _IFLA_CARRIER_DOWN_COUNT = 3, 23, 48
    _RX_MISSED_ERRORS = 15 * 8  # in rtnl_link_stats64
    _NAME_BYTES = 15
    _RECEIVED = 1 << 16

    class _News:
        """Routing netlink: everything that happens to the interfaces of the network namespace, in its order."""

        def __init__(self) -> None:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
            )
            self._socket.bind((0, _RTMGRP_LINK))
            self._questions = 0
            self._lost = False

        def close(self) -> None:
            self._socket.close()

        def fileno(self) -> int:
            return self._socket.fileno()

        def ask(self, interface: str) -> _Notice:
            """What there is. News that have not been read are dropped: they are in the answer."""
            name = os.fsencode(interface)
            if not 0 < len(name) <= _NAME_BYTES:
                return _Notice()
            body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, name + b"\0")
            while True:
                self._questions += 1
                header = _HEADER.pack(_HEADER.size + len(body), _RTM_GETLINK, _NLM_F_REQUEST, self._questions, 0)
                self._socket.send(header + body)
                # The kernel answers before send() returns; without room for the answer, there is none.
                for kind, sequence, answer in self._waiting():
                    if sequence == self._questions:
                        return _notice(answer) if kind == _RTM_NEWLINK else _Notice()

        def read(self) -> Iterator[_Notice]:
            """What has not been read. Raises _NewsLost when some are missing: ask then."""
            for kind, _, body in self._waiting():
                # A bridge, too, says that a port of it is gone.
                if kind in (_RTM_NEWLINK, _RTM_DELLINK) and body[0] == socket.AF_UNSPEC:
                    yield replace(_notice(body), is_gone=kind == _RTM_DELLINK)
            if self._lost:
                self._lost = False
                raise _NewsLost

        def _waiting(self) -> Iterator[tuple[int, int, bytes]]:
            """Type, sequence number and body of all messages that wait."""
            while True:
                try:
                    yield from _messages(self._socket.recv(_RECEIVED))
                except BlockingIOError:
                    return
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    self._lost = True

    def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
            yield kind, sequence, data[at + _HEADER.size : at + length]
            at += max(_HEADER.size, length + 3 & ~3)

    def _attribute(kind: int, value: bytes) -> bytes:
        padding = bytes(-len(value) % 4)
        return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + padding

    def _notice(body: bytes) -> _Notice:
        _, _, index, flags, _ = _LINK.unpack_from(body)
        name, times_down, missed, at = "", 0, 0, _LINK.size
        while at + _ATTRIBUTE.size <= len(body):
            length, kind = _ATTRIBUTE.unpack_from(body, at)
            value = body[at + _ATTRIBUTE.size : at + length]
            if kind == _IFLA_IFNAME:
                name = os.fsdecode(value.rstrip(b"\0"))
            elif kind == _IFLA_CARRIER_DOWN_COUNT:
                (times_down,) = struct.unpack("=I", value)
            elif kind == _IFLA_STATS64:
                (missed,) = struct.unpack_from("=Q", value, _RX_MISSED_ERRORS)
            at += max(_ATTRIBUTE.size, length + 3 & ~3)
        return _Notice(index, name, bool(flags & _IFF_LOWER_UP), times_down, missed)
