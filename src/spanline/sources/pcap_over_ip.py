"""PCAP-over-IP: a capture that comes over TCP while it is made, as Wireshark's TCP@HOST:PORT.

`tcp:HOST:PORT` connects, `tcp-listen:[ADDRESS:]PORT` waits for one sender, on this machine if no address is given. What
comes is a capture file: pcap or pcapng, plain or compressed. It ends when the other side closes. A file of such a name
is read as `./tcp:…`.
"""

from __future__ import annotations

import os
import re
import select
import socket
import time
from collections.abc import Callable

from spanline.errors import CaptureError
from spanline.sources.endpoints import Endpoint, listen, parse_endpoint, refusal

_LISTEN = "tcp-listen:"
_CONNECT = re.compile("tcp:|TCP@")
_PATIENCE = 10.0
_MOMENT_MS = 200

OnWait = Callable[[float], None]


def check_remote(name: str) -> None:
    """Raises UsageError when `name` has no right address and port."""
    _endpoint(name)


def _endpoint(name: str) -> Endpoint:
    if name.startswith(_LISTEN):
        return parse_endpoint(name.removeprefix(_LISTEN), name)
    return parse_endpoint(_CONNECT.sub("", name, count=1), name, needs_address=True)


def open_remote(name: str, on_wait: OnWait | None = None) -> int:
    """The descriptor of the connection, which blocks.

    on_wait  is called every moment while no sender comes, with the seconds that this has lasted

    Raises CaptureError, without the name.
    """
    if os.name != "posix":
        raise CaptureError("captures over TCP cannot be read on this system", hint="write them to a file first")
    endpoint = _endpoint(name)
    connection = _accepted(endpoint, on_wait) if name.startswith(_LISTEN) else _connected(endpoint)
    connection.settimeout(None)
    # The other machine may go without a word.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection.detach()


def _connected(endpoint: Endpoint) -> socket.socket:
    failed: OSError | None = None
    for family, address in endpoint.resolve(socket.SOCK_STREAM):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.settimeout(_PATIENCE)
        try:
            one.connect(address)
        except OSError as error:
            failed = error
            one.close()
        else:
            return one
    if isinstance(failed, TimeoutError):
        raise CaptureError(f"no answer in {_PATIENCE:.0f} s", hint="is a firewall between?") from failed
    what = ((failed.strerror or str(failed)) if failed else "no address").lower()
    hint = "does the sender run? or let it come: tcp-listen:PORT" if isinstance(failed, ConnectionRefusedError) else ""
    raise CaptureError(what, hint=hint or "check the address") from failed


def _accepted(endpoint: Endpoint, on_wait: OnWait | None) -> socket.socket:
    """The first who comes; nobody else is let in."""
    try:
        listener = listen(endpoint)
    except OSError as error:
        what, hint = refusal(endpoint, error)
        raise CaptureError(what, hint=hint) from error
    with listener:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        started = time.monotonic()
        while not poll.poll(_MOMENT_MS):
            if on_wait:
                on_wait(time.monotonic() - started)
        connection, _ = listener.accept()
        return connection
