"""[ADDRESS:]PORT, as users write it."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Any

from spanline.errors import CaptureError, UsageError

_ENDPOINT = re.compile(r"(?:(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<plain>[^\[\]:]+)):)?(?P<port>[0-9]{1,5})", re.ASCII)
_HIGHEST_PORT = 65535


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
