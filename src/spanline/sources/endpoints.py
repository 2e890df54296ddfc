"""[ADDRESS:]PORT, as users write it, and listening there."""

from __future__ import annotations

import errno
import os
import re
import socket
from dataclasses import dataclass
from typing import Any

from spanline.errors import CaptureError, UsageError

_ENDPOINT = re.compile(r"(?:(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<plain>[^\[\]:]+)):)?(?P<port>[0-9]{1,5})", re.ASCII)
_HIGHEST_PORT = 65535
_PRIVILEGED = 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address, or a name that has one; "" where none was given. As text, IPv6 addresses are in brackets."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def resolve(self, kind: socket.SocketKind) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
        """(family, socket address) of everything that the address means. Raises CaptureError when it means nothing."""
        try:
            found = socket.getaddrinfo(self.address, self.port, type=kind)
        except (OSError, UnicodeError) as error:
            what = getattr(error, "strerror", None) or "not a name"
            raise CaptureError(f"{self.address}: {what.lower()}", hint="check the address") from error
        return [(family, address) for family, _, _, _, address in found]


def parse_endpoint(text: str, name: str, *, needs_address: bool = False) -> Endpoint:
    """Raises UsageError, about `name`, of which `text` is a part."""
    match = _ENDPOINT.fullmatch(text)
    if match is None or not 0 < int(match["port"]) <= _HIGHEST_PORT:
        what = "address with a port" if needs_address else "port"
        form = "ADDRESS:PORT" if needs_address else "[ADDRESS:]PORT"
        hint = f"write {form}, an IPv6 address in brackets, and a port from 1 to {_HIGHEST_PORT}"
        raise UsageError(f"{name}: {text!r} is no {what}", hint=hint)
    address = match["bracketed"] or match["plain"] or ""
    if needs_address and not address:
        raise UsageError(f"{name}: no address is given", hint="write ADDRESS:PORT")
    return Endpoint(address, int(match["port"]))


def listen(endpoint: Endpoint) -> socket.socket:
    """A TCP socket that takes connections; without an address only those from this machine. Raises OSError."""
    family, address = Endpoint(endpoint.address or "127.0.0.1", endpoint.port).resolve(socket.SOCK_STREAM)[0]
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would take the port from who has it
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen()
    except BaseException:
        made.close()
        raise
    return made


def refusal(endpoint: Endpoint, error: OSError, holder: str = "another program has it") -> tuple[str, str]:
    """What is wrong, and what to do, when nobody can listen at `endpoint`; `holder` says who may have a port that is
    taken.
    """
    if isinstance(error, CaptureError):
        return error.message, error.hint
    if error.errno in (errno.EACCES, errno.EPERM) and endpoint.port < _PRIVILEGED:
        what = f"you may not listen on a port below {_PRIVILEGED}"
        return what, "take a higher one, or allow it: CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRINUSE:
        return f"port {endpoint.port} is taken", holder
    if error.errno == errno.EADDRNOTAVAIL:
        return f"this machine has no address {endpoint.address}", "leave it out, or give one that it has"
    return (error.strerror or str(error)).lower(), "check the address and the port"
