"""Fields that Annotate finds out: which stream a frame is of, and what its TCP segment means there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanline.batch import Batch
from spanline.fields.model import Field, Kind, Occurrences, Rows
from spanline.schema import ANALYSIS_FLAGS, ANALYSIS_PRESENT, NO_TIME

_TCP = 6
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


def _time(name: str, column: str, present: str, description: str) -> Field:
    extract = Analysed(column, present, "i8", NO_TIME)
    return Field(name, Kind.RELATIVE_TIME, description, extract, requires=_ANALYSIS)


FIELDS = (
    Field("tcp.stream", Kind.UNSIGNED, "Stream index", StreamNumber("tcp"), requires=_STREAMS),
    Field("udp.stream", Kind.UNSIGNED, "Stream index", StreamNumber("udp"), requires=_STREAMS),
    _number("tcp.completeness", "completeness", "stream", "Conversation completeness"),
    _number("tcp.len", "length", "length", "TCP Segment Len"),
    _number("tcp.seq", "seq", "stream", "Sequence Number"),
    _number("tcp.nxtseq", "next_seq", "length", "Next Sequence Number"),
    _number("tcp.ack", "ack", "stream", "Acknowledgment Number"),
    _number("tcp.window_size", "window", "stream", "Calculated window size"),
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
