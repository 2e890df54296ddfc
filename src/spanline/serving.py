"""Serving PCAP-over-IP: frames as pcapng to whoever connects, while they are captured.

Wireshark reads it as TCP@HOST:PORT, spanline as tcp:HOST:PORT.
"""

from __future__ import annotations

import contextlib
import ipaddress
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from spanline.errors import OutputError
from spanline.sources.endpoints import listen, parse_endpoint, refusal

QUEUE_BYTES = 16 << 20
"""What may wait for a client, beside what its connection holds."""

_READ = 4096


@dataclass(eq=False, slots=True)
class _Client:
    """Somebody who is connected. `waiting` is the size of `queue`, of whose first element `sent` bytes are gone."""

    connection: socket.socket
    name: str
    queue: deque[bytes] = field(default_factory=deque)
    sent: int = 0
    waiting: int = 0
    is_slow: bool = False
    listens: bool = True
    """Whether more can come from it; what comes means nothing."""
    events: int = 0


class PcapServer:
    """Any number of clients get what is written, each from its first moment on, as a pcapng file of its own.

    endpoint  [ADDRESS:]PORT; without an address nobody but this machine can connect
    report    gets lines for the user: who came and went, and what is dangerous; from a thread of the server's own
    address   as clients name it

    Nothing here waits for a client: what it does not take is kept for it up to QUEUE_BYTES, and then it is cut off.
    Raises UsageError for a wrong endpoint, OutputError when nobody can listen there. The thread that does the work
    begins with the first declare(), so that it has what privileges are left then.
    """

    def __init__(self, endpoint: str, report: Callable[[str], None]) -> None:
        wanted = parse_endpoint(endpoint, "--serve")
        try:
            self._listener = listen(wanted)
        except OSError as error:
            what, hint = refusal(wanted, error)
            raise OutputError(f"--serve {endpoint}: {what}", hint=hint) from error
        self._listener.setblocking(False)
        self.address = _shown(self._listener.getsockname())
        self._report = report
        self._lock = threading.Lock()
        self._greeting = b""
        self._clients: list[_Client] = []
        self._until: float | None = None
        self._woken, self._waker = socket.socketpair()
        for one in self._woken, self._waker:
            one.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread: threading.Thread | None = None
        if not ipaddress.ip_address(self._listener.getsockname()[0].partition("%")[0]).is_loopback:
            self._report(f"{self.address}: whoever reaches this port gets every frame: no password, no encryption")

    def declare(self, blocks: bytes) -> None:
        """What every client gets first: a section header and interfaces; called again, further interfaces."""
        with self._lock:
            self._greeting += blocks
            self._enqueue(blocks)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spanline-serve", daemon=True)
            self._thread.start()
        self._wake()

    def write(self, blocks: bytes | memoryview) -> None:
        """Whole blocks of frames, or statistics, of declared interfaces. Returns at once."""
        if not self._clients:
            return
        with self._lock:
            self._enqueue(bytes(blocks))
        self._wake()

    def close(self, patience: float = 1.0) -> None:
        """Gives clients `patience` seconds to take what waits for them, and ends."""
        self._until = time.monotonic() + patience
        if self._thread is not None:
            self._wake()
            self._thread.join()
        for one in (self._listener, self._woken, self._waker, *(client.connection for client in self._clients)):
            one.close()
        self._selector.close()

    def _enqueue(self, blocks: bytes) -> None:
        for client in self._clients:
            if client.waiting and client.waiting + len(blocks) > QUEUE_BYTES:
                client.is_slow = True
            if not client.is_slow:
                client.queue.append(blocks)
                client.waiting += len(blocks)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # as many wakes as the socket holds are enough
            self._waker.send(b"\0")

    def _run(self) -> None:
        while self._until is None or (time.monotonic() < self._until and any(one.waiting for one in self._clients)):
            left = None if self._until is None else max(0.0, self._until - time.monotonic())
            for key, events in self._selector.select(left):
                if key.fileobj is self._woken:
                    with contextlib.suppress(BlockingIOError):
                        self._woken.recv(_READ)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._attend(key.data, events)
            for client in list(self._clients):
                if client.is_slow:
                    self._dismiss(client, f"cut off, as it does not keep up: {client.waiting:,} bytes waited for it")
                else:
                    self._arrange(client)

    def _accept(self) -> None:
        try:
            connection, address = self._listener.accept()
        except OSError as error:
            if not isinstance(error, BlockingIOError | ConnectionError):
                # Too many open files, say: there is room again when somebody has gone.
                self._report(f"{self.address}: nobody more is let in ({(error.strerror or str(error)).lower()})")
                self._selector.unregister(self._listener)
            return
        connection.setblocking(False)
        client = _Client(connection, _shown(address))
        with self._lock:
            client.queue.append(self._greeting)
            client.waiting = len(self._greeting)
            self._clients.append(client)
        self._report(f"{client.name}: connected")

    def _attend(self, client: _Client, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                client.listens = bool(client.connection.recv(_READ))
            if events & selectors.EVENT_WRITE:
                self._send(client)
        except BlockingIOError:
            pass
        except OSError:
            self._dismiss(client, "gone")

    def _send(self, client: _Client) -> None:
        while client.queue:
            piece = client.queue[0]
            count = client.connection.send(memoryview(piece)[client.sent :])
            client.sent += count
            with self._lock:
                client.waiting -= count
            if client.sent < len(piece):
                return
            client.queue.popleft()
            client.sent = 0

    def _arrange(self, client: _Client) -> None:
        """Waits for what can happen: a client that has said its last, and takes nothing, would be ready for ever."""
        events = selectors.EVENT_READ * client.listens | selectors.EVENT_WRITE * bool(client.queue)
        if events == client.events:
            return
        if client.events and events:
            self._selector.modify(client.connection, events, client)
        elif events:
            self._selector.register(client.connection, events, client)
        else:
            self._selector.unregister(client.connection)
        client.events = events

    def _dismiss(self, client: _Client, why: str) -> None:
        if client.events:
            self._selector.unregister(client.connection)
        client.connection.close()
        with self._lock:
            self._clients.remove(client)
        self._report(f"{client.name}: {why}")
        if self._listener not in self._selector.get_map():
            self._selector.register(self._listener, selectors.EVENT_READ)


def _shown(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
