"""Fields of application protocols, read from the messages that Annotate(messages=True) found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanline import _application_fields
from spanline.batch import IP_PROTOCOLS, PROTOCOLS, Batch
from spanline.fields.model import Field, Kind, Occurrences, Octets, Rows
from spanline.protocols import applications
from spanline.protocols.compiling import NAMES
from spanline.protocols.http import METHODS
from spanline.protocols.tables import application_set

# As in ext/application_fields.h, in this order.
_READERS = (
    "bytes", "length", "dns-id", "dns-response", "dns-rcode", "dns-name", "dns-type", "dns-a", "dns-aaaa", "tls-type",
    "tls-name", "http-method", "http-uri", "http-code", "http-header", "telnet-data",
)  # fmt: skip
_OVER_TCP, _CUT = 1, 2
_ASSEMBLED = 2  # the buffer of messages that came in several segments,
_KEPT = 16 * 1024  # and how much is kept of one that goes on, as in ext/messages.h
_METHODS = b"".join(METHODS)
_WIDTHS = {Kind.IPV4: 4, Kind.IPV6: 16}
_NEEDS = frozenset({"application", "messages"})


@dataclass(frozen=True, slots=True)
class InMessages:
    """What `reader` finds in the messages of some protocols; `header` is the one of HTTP that is wanted."""

    reader: str
    protocols: tuple[str, ...]
    kind: Kind
    header: bytes = b""

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        names = application_set().names
        messages = batch.messages
        wanted = np.isin(messages["application"], [names.index(name) for name in self.protocols])
        if rows is not None:
            wanted &= rows[messages["packet"]]
        messages = messages[wanted]
        packets, row = batch.packets, messages["packet"]
        flags = np.where(packets["ip_protocol"][row] == IP_PROTOCOLS["tcp"], _OVER_TCP, 0).astype(np.uint8)
        flags[packets["captured_length"][row] < packets["wire_length"][row]] |= _CUT
        flags[(messages["buffer"] == _ASSEMBLED) & (messages["length"] >= _KEPT)] |= _CUT
        message, numbers, octets, offsets = _application_fields.read(
            _READERS.index(self.reader), messages.view(np.uint8), flags, batch.buffers, _METHODS, self.header
        )
        packet = np.ascontiguousarray(messages["packet"][message])
        ordinal = _ordinals(messages["packet"])[message]
        if self.kind in (Kind.UNSIGNED, Kind.BOOLEAN):
            return Occurrences(packet, ordinal, numbers)
        if self.kind is Kind.SIGNED:
            return Occurrences(packet, ordinal, numbers.view(np.int64))
        if self.kind in _WIDTHS:
            return Occurrences(packet, ordinal, octets.reshape(-1, _WIDTHS[self.kind]))
        return Occurrences(packet, ordinal, Octets(octets, offsets))


def _ordinals(packet: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """Which message of its packet each is, from 1; `packet` ascends."""
    first = np.searchsorted(packet, packet)
    ordinals: npt.NDArray[np.uint8] = np.minimum(np.arange(len(packet)) - first + 1, 255).astype(np.uint8)
    return ordinals


def _field(name: str, kind: Kind, description: str, reader: str, *protocols: str, digits: int = 0,
           header: bytes = b"") -> Field:  # fmt: skip
    return Field(name, kind, description, InMessages(reader, protocols, kind, header), digits, requires=_NEEDS)


def _dns(name: str, kind: Kind, description: str, reader: str, *, digits: int = 0) -> Field:
    return _field(name, kind, description, reader, "dns", "mdns", "llmnr", digits=digits)


def _http(name: str, kind: Kind, description: str, reader: str, *, header: bytes = b"") -> Field:
    return _field(name, kind, description, reader, "http", "ssdp", header=header)


def _protocol(name: str, description: str) -> Field:
    extract = InMessages("bytes", (name,), Kind.PROTOCOL)
    return Field(name, Kind.PROTOCOL, description, extract, whole=extract, requires=_NEEDS)


FIELDS = (
    _dns("dns.id", Kind.UNSIGNED, "Transaction ID", "dns-id", digits=4),
    _dns("dns.flags.response", Kind.BOOLEAN, "Response", "dns-response"),
    _dns("dns.flags.rcode", Kind.UNSIGNED, "Reply code", "dns-rcode"),
    _dns("dns.qry.name", Kind.STRING, "Name", "dns-name"),
    _dns("dns.qry.type", Kind.UNSIGNED, "Type", "dns-type"),
    _dns("dns.a", Kind.IPV4, "Address", "dns-a"),
    _dns("dns.aaaa", Kind.IPV6, "AAAA Address", "dns-aaaa"),
    _field("tls.handshake.type", Kind.UNSIGNED, "Handshake Type", "tls-type", "tls"),
    _field("tls.handshake.extensions_server_name", Kind.STRING, "Server Name", "tls-name", "tls"),
    _http("http.request.method", Kind.STRING, "Request Method", "http-method"),
    _http("http.request.uri", Kind.STRING, "Request URI", "http-uri"),
    _http("http.response.code", Kind.UNSIGNED, "Status Code", "http-code"),
    _http("http.host", Kind.STRING, "Host", "http-header", header=b"host:"),
    _http("http.user_agent", Kind.STRING, "User-Agent", "http-header", header=b"user-agent:"),
    _field("telnet.data", Kind.STRING, "Data", "telnet-data", "telnet"),
    _protocol("data", "Data"),
    _field("data.data", Kind.BYTES, "Data", "bytes", "data"),
    _field("data.len", Kind.SIGNED, "Length", "length", "data"),
    *(_protocol(one.name, one.title) for one in applications() if one.name not in {*PROTOCOLS, *NAMES}),
)
