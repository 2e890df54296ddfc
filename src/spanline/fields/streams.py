"""Fields that Annotate finds out: which stream a frame is of, and what its TCP segment means there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanline.batch import Batch
from spanline.fields.headers import At, When, in_order
from spanline.fields.model import Field, Kind, Occurrences, Octets, Rows
from spanline.schema import ANALYSIS_FLAGS, ANALYSIS_PRESENT, NO_TIME

_TCP, _ICMP, _ICMPV6 = 6, 1, 58
_STREAMS, _ANALYSIS = frozenset({"streams"}), frozenset({"streams", "analysis"})


@dataclass(frozen=True, slots=True)
class StreamNumber:
    """tcp.stream or udp.stream, also of outer and of quoted headers."""

    protocol: str

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        packet, number = batch.stream_numbers(self.protocol)
        begins = np.flatnonzero(np.diff(packet, prepend=np.uint32(0xFFFFFFFF)))
        ordinal = np.arange(len(packet)) - np.repeat(begins, np.diff([*begins, len(packet)])) + 1
        wanted = slice(None) if rows is None else rows[packet]
        return Occurrences(packet[wanted], ordinal.astype(np.uint8)[wanted], number.astype(np.uint64)[wanted])


@dataclass(frozen=True, slots=True)
class Flagged:
    """tcp.analysis.… without a value: rows with a bit of Annotate's `analysis`, `times` in each."""

    bits: int
    times: int = 1

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        has = (batch.streams["analysis"] & self.bits != 0) & (batch.packets["ip_protocol"] == _TCP)
        packet = np.repeat(_once(has, has, rows).packet, self.times)
        return Occurrences(packet, np.ones(len(packet), np.uint8), np.ones(len(packet), np.uint64))


@dataclass(frozen=True, slots=True)
class Analysed:
    """A column of the batch's `analysis`, where the bit of `present` is set, and not one of `absent`'s values."""

    column: str
    present: str
    dtype: str
    absent: int | None = None

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        values = batch.analysis[self.column]
        has = batch.analysis["present"] & 1 << ANALYSIS_PRESENT.index(self.present) != 0
        if self.absent is not None:
            has &= values != self.absent
        return _once(has, values.astype(self.dtype), rows)


@dataclass(frozen=True, slots=True)
class OrQuoted:
    """What is known of rows, and of TCP headers that ICMP and ICMPv6 quote the number that stands there: nothing is
    known of those."""

    known: Analysed
    by_icmp: At
    by_icmpv6: At

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        parts = [self.known(batch, rows)]
        for protocol, place in (_ICMP, self.by_icmp), (_ICMPV6, self.by_icmpv6):
            quoting = batch.packets["ip_protocol"] == protocol
            quoting = quoting if rows is None else quoting & rows
            if quoting.any():
                parts.append(place(batch, quoting))
        return parts[0] if len(parts) == 1 else in_order(parts)


@dataclass(frozen=True, slots=True)
class Selected:
    """Edges of the blocks of SACK options, from `offset` on in each, relative to what is acknowledged as tcp.ack is."""

    offset: int

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        # RFC 9293 section 3.1: 40 bytes of options have room for four blocks of 8.
        parts = [At("tcp.options.sack", 2 + 8 * n + self.offset, 4)(batch, rows) for n in range(4)]
        found = in_order(parts)
        packet = found.packet
        assert not isinstance(found.values, Octets)
        is_known = batch.packets["ip_protocol"][packet] == _TCP
        start = batch.packets["tcp_ack"][packet] - batch.analysis["ack"][packet].astype(np.uint32)
        edges = (found.values.astype(np.uint32) - start).astype(np.uint64)
        return Occurrences(packet[is_known], found.layer[is_known], edges[is_known])


def _once(has: Rows, values: npt.NDArray[np.generic], rows: Rows | None) -> Occurrences:
    has = has if rows is None else has & rows
    packet = np.flatnonzero(has).astype(np.uint32)
    return Occurrences(packet, np.ones(len(packet), np.uint8), values[has])


def _flag(name: str, description: str) -> Field:
    bit = 1 << ANALYSIS_FLAGS.index(name)
    times = 2 if name == "duplicate-ack" else 1  # tshark has this one as a field and as a remark
    extract = Flagged(bit, times)
    return Field(f"tcp.analysis.{name.replace('-', '_')}", Kind.NONE, description, extract, requires=_STREAMS)


def _number(name: str, column: str, present: str, description: str, absent: int | None = None) -> Field:
    return Field(name, Kind.UNSIGNED, description, Analysed(column, present, "u8", absent), requires=_ANALYSIS)


def _or_quoted(name: str, column: str, description: str, by_icmp: At, by_icmpv6: At) -> Field:
    extract = OrQuoted(Analysed(column, "stream", "u8"), by_icmp, by_icmpv6)
    return Field(name, Kind.UNSIGNED, description, extract, requires=_ANALYSIS)


def _time(name: str, column: str, present: str, description: str) -> Field:
    extract = Analysed(column, present, "i8", NO_TIME)
    return Field(name, Kind.RELATIVE_TIME, description, extract, requires=_ANALYSIS)


# tshark reads 16 bytes of a TCP header before it shows more than its ports; but of one that ICMP quotes the first 8.
_READ = When(14, 2, range(1 << 16))
_ACK, _WINDOW = At("tcp", 8, 4, when=_READ), At("tcp", 14, 2, when=_READ)

FIELDS = (
    Field("tcp.stream", Kind.UNSIGNED, "Stream index", StreamNumber("tcp"), requires=_STREAMS),
    Field("udp.stream", Kind.UNSIGNED, "Stream index", StreamNumber("udp"), requires=_STREAMS),
    _number("tcp.completeness", "completeness", "stream", "Conversation completeness"),
    _number("tcp.len", "length", "length", "TCP Segment Len"),
    _or_quoted("tcp.seq", "seq", "Sequence Number", At("tcp", 4, 4), At("tcp", 4, 4, when=_READ)),
    _number("tcp.nxtseq", "next_seq", "length", "Next Sequence Number"),
    _or_quoted("tcp.ack", "ack", "Acknowledgment Number", _ACK, _ACK),
    Field("tcp.options.sack_le", Kind.UNSIGNED, "TCP SACK Left Edge", Selected(0), requires=_ANALYSIS),
    Field("tcp.options.sack_re", Kind.UNSIGNED, "TCP SACK Right Edge", Selected(4), requires=_ANALYSIS),
    _or_quoted("tcp.window_size", "window", "Calculated window size", _WINDOW, _WINDOW),
    Field(
        "tcp.window_size_scalefactor",
        Kind.SIGNED,
        "Window size scaling factor",
        Analysed("window_scale", "window-scale", "i8"),
        requires=_ANALYSIS,
    ),
    _time("tcp.time_relative", "time_relative", "stream", "Time since first frame in this TCP stream"),
    _time("tcp.time_delta", "time_delta", "stream", "Time since previous frame in this TCP stream"),
    _time("tcp.analysis.initial_rtt", "initial_rtt", "details", "iRTT"),
    _time("tcp.analysis.ack_rtt", "ack_rtt", "details", "The RTT to ACK the segment was"),
    _number("tcp.analysis.duplicate_ack_num", "duplicate_ack_number", "details", "Duplicate ACK #", absent=0),
    _number(
        "tcp.analysis.duplicate_ack_frame", "duplicate_ack_frame", "details", "Duplicate to the ACK in frame", absent=0
    ),
    _flag("retransmission", "This frame is a (suspected) retransmission"),
    _flag("fast-retransmission", "This frame is a (suspected) fast retransmission"),
    _flag("spurious-retransmission", "This frame is a (suspected) spurious retransmission"),
    _flag("out-of-order", "This frame is a (suspected) out-of-order segment"),
    _flag("lost-segment", "Previous segment(s) not captured (common at capture start)"),
    _flag("ack-lost-segment", "ACKed segment that wasn't captured (common at capture start)"),
    _flag("duplicate-ack", "Duplicate ACK"),
    _flag("keep-alive", "TCP keep-alive segment"),
    _flag("keep-alive-ack", "ACK to a TCP keep-alive segment"),
    _flag("zero-window", "TCP Zero Window segment"),
    _flag("window-update", "TCP window update"),
    _flag("window-full", "TCP window specified by the receiver is now completely full"),
    _flag("zero-window-probe", "TCP Zero Window Probe"),
    _flag("zero-window-probe-ack", "ACK to a TCP Zero Window Probe"),
    _flag("reused-ports", "A new tcp session is started with the same ports as an earlier session in this trace"),
)
