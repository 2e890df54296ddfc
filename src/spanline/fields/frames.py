"""Fields of frames themselves: when and where they were captured, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spanline import _fields
from spanline.batch import PROTOCOLS, Batch
from spanline.chunk import Interface
from spanline.fields.model import Field, Kind, Occurrences, Octets, Rows


@dataclass(frozen=True, slots=True)
class Each:
    """One occurrence for each frame: `values` of the rows that are wanted."""

    values: Callable[[Batch], npt.NDArray[Any]]

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        packet = np.arange(len(batch), dtype=np.uint32) if rows is None else np.flatnonzero(rows).astype(np.uint32)
        values = self.values(batch)
        return Occurrences(packet, np.ones(len(packet), np.uint8), values if rows is None else values[rows])


@dataclass(frozen=True, slots=True)
class Named:
    """One text for each frame, of few different ones: `names` gives those, and each row's number among them, negative
    where it has none."""

    names: Callable[[Batch], tuple[Sequence[bytes], npt.NDArray[np.int64]]]

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        texts, number = self.names(batch)
        has = number >= 0 if rows is None else (number >= 0) & rows
        packet = np.flatnonzero(has).astype(np.uint32)
        number = number[has]
        lengths = np.array([len(text) for text in texts], np.int64)
        starts = np.cumsum(lengths) - lengths
        data = np.frombuffer(b"".join(texts), np.uint8)
        octets, offsets = _fields.spans(data, data, np.zeros(len(packet), np.uint8), starts[number], lengths[number])
        return Occurrences(packet, np.ones(len(packet), np.uint8), Octets(octets, offsets))


@dataclass(frozen=True, slots=True)
class Some:
    """What some frames have: `values` and a mask of those that do."""

    values: Callable[[Batch], tuple[npt.NDArray[Any], Rows]]

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        values, has = self.values(batch)
        has = has if rows is None else has & rows
        packet = np.flatnonzero(has).astype(np.uint32)
        return Occurrences(packet, np.ones(len(packet), np.uint8), values[has])


def _numbers(column: str) -> Each:
    return Each(lambda batch: batch.packets[column].astype(np.uint64))


def _per_interface(batch: Batch, values: Callable[[Interface], Any], missing: Any, dtype: Any) -> npt.NDArray[Any]:
    """A value for each row, of its interface; `missing` where that was never declared."""
    numbers, interfaces = batch.packets["interface"], batch.interfaces
    distinct = np.flatnonzero(np.bincount(numbers)) if len(numbers) else np.empty(0, np.intp)
    table = np.full(int(distinct[-1]) + 1 if len(distinct) else 1, missing, dtype)
    for number in distinct.tolist():
        if number < len(interfaces):
            table[number] = values(interfaces[number])
    found: npt.NDArray[Any] = table[numbers]
    return found


def _interface_ids(batch: Batch) -> tuple[npt.NDArray[np.uint64], Rows]:
    ids = _per_interface(batch, lambda one: -1 if one.number is None else one.number, -1, np.int64)
    return ids.astype(np.uint64), ids >= 0


def _interface_names(batch: Batch) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """Distinct names, and each row's number among them, -1 for none."""
    names: dict[str, int] = {}

    def number(interface: Interface) -> int:
        if interface.number is None:
            return -1
        return names.setdefault(interface.name or "unknown", len(names))

    numbers = _per_interface(batch, number, -1, np.int64)
    return [name.encode(errors="surrogateescape") for name in names], numbers


def _stacks(batch: Batch) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """Distinct stacks of protocols as tshark writes them, and each row's number among them."""
    stack = batch.packets["path"].astype(np.int64) << 16 | batch.packets["application"]
    distinct, number = np.unique(stack, return_inverse=True)
    names = [_named(batch.paths[one >> 16], batch.applications[one & 0xFFFF]) for one in distinct.tolist()]
    _add_quoted(batch, names, number)
    return [name.encode() for name in names], number


def _named(path: Sequence[str], applications: Sequence[str]) -> str:
    """The protocols of a frame, outermost first, with "ethertype" where tshark has it."""
    named: list[str] = []
    for n, name in enumerate(path):
        named.append("sll" if name == "sll2" else name)
        if name in _WITH_ETHER_TYPE and n + 1 < len(path) and path[n + 1] != "llc":
            named.append("ethertype")
    for name in applications:
        if name.startswith("_ws.") or name == "tcp.segments":
            continue
        # A dissector that goes from message to message by itself is named once; that of TLS is called again.
        if name != named[-1] or name == "tls":
            named.append(name)
        if name == "igmp":
            named.append(name)  # what is common to its versions, and the one of the message
    return ":".join(named)


def _add_quoted(batch: Batch, names: list[str], number: npt.NDArray[np.int64]) -> None:
    """Gives rows of ICMP a name of their own, with the headers that errors quote, and the data of echoes."""
    icmp = np.array([bool(_ICMP.intersection(name.split(":"))) for name in names], bool)
    rows = icmp[number]
    if not rows.any():
        return
    headers = batch.layers_in(rows)
    headers = headers[~np.isin(headers["protocol"], _PARTS)]
    packet, start = np.unique(headers["packet"], return_index=True)
    count = np.diff([*start, len(headers)])
    # Of few different stacks: each as a line of numbers, filled up with zeros, whether it has data, its application.
    lines = np.zeros((len(packet), int(count.max()) + 3), np.uint8)
    places = np.repeat(np.arange(len(packet)), count), np.arange(len(headers)) - np.repeat(start, count)
    lines[places] = headers["protocol"]
    lines[:, -3] = _has_echoed(batch.packets[packet])
    lines[:, -2:] = np.ascontiguousarray(batch.packets["application"][packet]).view(np.uint8).reshape(-1, 2)
    distinct, which = np.unique(lines, axis=0, return_inverse=True)
    first = len(names)
    for line in distinct:
        applications = batch.applications[int(line[-2:].copy().view(np.uint16)[0])]
        path = [PROTOCOLS[protocol] for protocol in line[:-3] if protocol]
        names.append(_named(path, (*applications, "data") if line[-3] else applications))
    number[packet] = first + which.ravel()


def _has_echoed(packets: npt.NDArray[np.void]) -> Rows:
    """Whether these packets of ICMP are echoes with something behind their header."""
    ipv6 = packets["ip_version"] == 6
    kind = np.where(ipv6[:, None], _ECHOES_V6, _ECHOES)
    has: Rows = (packets["source_port"][:, None] == kind).any(axis=1) & (packets["payload_length"] > 0)
    return has & np.isin(packets["ip_protocol"], (1, 58))


_ICMP = {"icmp", "icmpv6"}
# Types of requests and replies.
_ECHOES, _ECHOES_V6 = (8, 0), (128, 129)
_PARTS = [n for n, name in enumerate(PROTOCOLS) if name.startswith(("gre.", "geneve.", "tcp.options."))]
# Their headers have an EtherType, which tshark has a dissector for.
_WITH_ETHER_TYPE = {"eth", "sll", "sll2", "vlan", "ieee8021ad"}

FIELDS = (
    Field("frame.number", Kind.UNSIGNED, "Frame Number", Each(lambda batch: batch.numbers)),
    Field("frame.time", Kind.ABSOLUTE_TIME, "Arrival Time", Each(lambda batch: batch.packets["timestamp"])),
    Field("frame.time_epoch", Kind.RELATIVE_TIME, "Epoch Time", Each(lambda batch: batch.packets["timestamp"])),
    Field(
        "frame.time_relative",
        Kind.RELATIVE_TIME,
        "Time since reference or first frame",
        Each(lambda batch: batch.packets["timestamp"] - batch.begun),
    ),
    Field(
        "frame.time_delta",
        Kind.RELATIVE_TIME,
        "Time delta from previous captured frame",
        Each(lambda batch: batch.packets["timestamp"] - batch.previous),
    ),
    Field("frame.len", Kind.UNSIGNED, "Frame length on the wire", _numbers("wire_length")),
    Field("frame.cap_len", Kind.UNSIGNED, "Frame length stored into the capture file", _numbers("captured_length")),
    Field("frame.interface_id", Kind.UNSIGNED, "Interface id", Some(_interface_ids)),
    Field("frame.interface_name", Kind.STRING, "Interface name", Named(_interface_names)),
    Field("frame.protocols", Kind.STRING, "Protocols in frame", Named(_stacks)),
)
