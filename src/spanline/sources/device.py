"""What Linux says of a network interface, in this process' own network namespace (which /sys does not show)."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
from dataclasses import dataclass

# linux/sockios.h, linux/if.h, linux/ethtool.h
_SIOCGIFFLAGS, _SIOCGIFMTU, _SIOCGIFHWADDR, _SIOCETHTOOL = 0x8913, 0x8921, 0x8927, 0x8946
_IFF_LOOPBACK = 0x8
_ETHTOOL_GSET, _ETHTOOL_GFLAGS, _ETHTOOL_GGRO = 0x1, 0x25, 0x2B
_ETH_FLAG_LRO = 1 << 15
_REQUEST = 40
_NAME = 16


@dataclass(frozen=True, slots=True)
class Device:
    """A network interface: `kind` is its ARPHRD number (linux/if_arp.h), `mtu` in bytes without the link header,
    `address` the first six bytes of its hardware address.
    """

    kind: int
    mtu: int
    is_loopback: bool
    address: bytes


def device(interface: str) -> Device:
    """Raises OSError: ENODEV when there is no such interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        (flags,) = struct.unpack_from("=H", _ask(asked, _SIOCGIFFLAGS, interface), _NAME)
        (mtu,) = struct.unpack_from("=i", _ask(asked, _SIOCGIFMTU, interface), _NAME)
        kind, address = struct.unpack_from("=H6s", _ask(asked, _SIOCGIFHWADDR, interface), _NAME)
    return Device(kind, mtu, bool(flags & _IFF_LOOPBACK), address)


def speed(interface: str) -> int | None:
    """Bits in a second (struct ethtool_cmd); None where the driver does not tell."""
    command = array.array("I", [_ETHTOOL_GSET] + 10 * [0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            _ask(asked, _SIOCETHTOOL, interface, struct.pack("P", command.buffer_info()[0]))
        except OSError:
            return None
    octets = command.tobytes()
    low, high = struct.unpack_from("=H", octets, 12)[0], struct.unpack_from("=H", octets, 28)[0]
    megabits = low | high << 16
    return None if megabits in (0, 0xFFFF, 0xFFFFFFFF) else megabits * 1_000_000


def offloads(interface: str) -> list[str]:
    """Which of "gro" and "lro" are on, as ethtool -K names them: they put several frames together before anybody sees
    them, so that lengths and counts are not those of the network. Empty where the driver does not tell.
    """
    found = []
    for name, command, bit in (("gro", _ETHTOOL_GGRO, 1), ("lro", _ETHTOOL_GFLAGS, _ETH_FLAG_LRO)):
        value = array.array("I", [command, 0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            try:
                _ask(asked, _SIOCETHTOOL, interface, struct.pack("P", value.buffer_info()[0]))
            except OSError:
                continue
        if value[1] & bit:
            found.append(name)
    return found


def _ask(asked: socket.socket, request: int, interface: str, argument: bytes = b"") -> bytes:
    """struct ifreq: the interface's name, and what the request is about."""
    question = os.fsencode(interface)[: _NAME - 1].ljust(_NAME, b"\0") + argument
    return fcntl.ioctl(asked.fileno(), request, question.ljust(_REQUEST, b"\0"))
