"""The packet socket (packet(7)) beneath libpcap on Linux, for what pcapy does not offer."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
import threading

from spanline.errors import CaptureError


class PacketSocket:
    """Another descriptor of the socket that libpcap reads.

    descriptor  libpcap's own
    """

    _SO_ATTACH_FILTER = 26
    _SOL_PACKET, _ADD_MEMBERSHIP, _PROMISCUOUS = 263, 1, 1
    _ETH_P_ALL = 3
    _RETURN_NOTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._kind = self._socket.getsockname()[3]
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Whoever wakes may be a thread of its own, and the number of a closed descriptor soon means something else.
        self._closing = threading.RLock()

    def close(self) -> None:
        self._socket.close()
        with self._closing:
            wake, self._wake = self._wake, -1
            os.close(wake)

    def wake(self) -> None:
        """Ends wait(), also the next one."""
        with self._closing:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def wait(self, other: int | None, seconds: float) -> None:
        """Until there are frames, something to read from `other`, wake(), or time is over."""
        poll = select.poll()
        for descriptor in (self._socket.fileno(), self._wake, other):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        poll.poll(max(seconds, 0) * 1000)

    def refuse_all(self) -> None:
        """No more frames come; what waits stays, which libpcap would filter again."""
        program = ctypes.create_string_buffer(self._RETURN_NOTHING)
        self._socket.setsockopt(
            socket.SOL_SOCKET, self._SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program))
        )

    def bind(self, interface: str, promiscuous: bool) -> bool:
        """Goes on with an interface that was made anew; False when it is gone again.

        Raises CaptureError when its frames have another link layer now.
        """
        try:
            self._socket.bind((interface, self._ETH_P_ALL))
            if promiscuous:
                membership = struct.pack("@iHH8x", socket.if_nametoindex(interface), self._PROMISCUOUS, 0)
                self._socket.setsockopt(self._SOL_PACKET, self._ADD_MEMBERSHIP, membership)
        except OSError:
            return False
        if self._socket.getsockname()[3] != self._kind:
            raise CaptureError(f"{interface} was made anew with another link layer", hint="start again")
        return True
