"""One TCP conversation: the frames of its handshake, and the flow that they belong to with its round-trip times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import arrow_schema, column, fixed_binary, ipc_of, table_of, table_of_ipc
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.fields import Occurrences, find, occurrences
from spanline.schema import NO_TIME, Column
from spanline.stages.chosen_stream import ChosenStream
from spanline.stages.ends import Ends, Numbered
from spanline.stages.flows import Flows
from spanline.stages.packet_list import TCP_HEADER

MOST_FRAMES = 1000
"""Frames that are kept of a handshake: SYNs can be sent again without end."""

_SYN, _ACK = 0x02, 0x10
# What was met of the conversation: a SYN, a segment without, one with ACK and without SYN behind a SYN.
_MET_SYN, _MET_OTHER, _MET_ACK = 1, 2, 4
_OPTIONS = {
    "mss": ("tcp.options.mss_val", "u2"),
    "window_shift": ("tcp.options.wscale.shift", "u1"),
    "timestamp_value": ("tcp.options.timestamp.tsval", "u4"),
    "timestamp_echo": ("tcp.options.timestamp.tsecr", "u4"),
}

HANDSHAKE = (
    Column("number", "", "uint64", "Frame", "", "of the frame in the capture, from 1"),
    Column("timestamp", "", "time", "Time", "ns", "capture time since the epoch, UTC"),
    Column("source", "", "address", "Source", "", "of the frame"),
    Column("destination", "", "address", "Destination", "", "of the frame"),
    Column("source_port", "", "uint16", "Source port"),
    Column("destination_port", "", "uint16", "Destination port"),
    Column("tcp_flags", "", "uint16", "Flags", "", "12 bits"),
    Column("relative_seq", "", "uint32", "Seq", "", "relative to the sender's first, as tcp.seq"),
    Column("relative_ack", "", "uint32", "Ack", "", "relative to the receiver's first, as tcp.ack; null without ACK"),
    Column("payload_length", "", "uint32", "Len", "byte"),
    Column("mss", "", "uint16", "MSS", "byte", "largest segment that the sender takes"),
    Column("window_shift", "", "uint8", "WScale", "", "window scale: shift count"),
    Column("sack_permitted", "", "bool", "SACK", "", "selective acknowledgment is permitted"),
    Column("timestamp_value", "", "uint32", "TSval"),
    Column("timestamp_echo", "", "uint32", "TSecr"),
    Column(
        "ack_rtt",
        "",
        "duration",
        "ACK RTT",
        "ns",
        "since the segment that this one acknowledges",
        "tcp.analysis.ack_rtt",
    ),
)
"""The Table "frames" of Handshake."""


class Handshake:
    """The handshake of the TCP conversation that `wanted` says (ChosenStream).

    Its frames are all those with SYN, the first one without, and the first one without that has ACK: with that one
    Wireshark's initial RTT ends. `number` and `others` are those of ChosenStream.

    Batches have passed transforms.annotate.Annotate(details=True). Memory does not grow with the capture.

    tables() gives "frames", a Table of HANDSHAKE, and "flows", the conversation as stages.flows.Flows tells it when it
    counts as tshark does: no timeouts, whole frames, in whatever tunnel or VLAN.
    """

    def __init__(self, wanted: Numbered | Ends) -> None:
        self._chosen = ChosenStream(wanted)
        self.left_out = 0
        """Frames of the handshake beyond MOST_FRAMES."""
        self._met = 0
        self._frames: list[pa.Table] = []
        self._flows = Flows(idle_timeout=None, active_timeout=None, by_vni=False, whole_frames=True)

    @property
    def number(self) -> int | None:
        return self._chosen.number

    @property
    def others(self) -> list[int]:
        return self._chosen.others

    def missing(self) -> UsageError:
        """What to say when the conversation was not met: there is none, and what there is."""
        return self._chosen.missing()

    def update(self, batch: Batch) -> None:
        own = self._chosen.rows(batch)
        if own.any():
            mine = batch.select(own)
            self._flows.update(mine)
            self._keep(mine)

    def _keep(self, batch: Batch) -> None:
        """Keeps the frames of the handshake; all of `batch` belong to the conversation."""
        flags = np.where(batch.packets["transport_length"] < TCP_HEADER, 0, batch.packets["tcp_flags"])
        syn, ack = flags & _SYN != 0, flags & (_SYN | _ACK) == _ACK
        # The initial RTT begins with a SYN.
        ack &= np.logical_or.accumulate(syn) | bool(self._met & _MET_SYN)
        wanted = syn.copy()
        for bit, rows in ((_MET_OTHER, ~syn), (_MET_ACK, ack)):
            if not self._met & bit:
                wanted[np.flatnonzero(rows)[:1]] = True
            self._met |= bit * bool(rows.any())
        self._met |= _MET_SYN * bool(syn.any())
        room = MOST_FRAMES - sum(table.num_rows for table in self._frames)
        rows = np.flatnonzero(wanted)
        self.left_out += max(len(rows) - room, 0)
        wanted[rows[room:]] = False
        if wanted.any():
            self._frames.append(_table(batch.select(wanted)))

    def drain(self) -> Mapping[str, pa.Table]:
        """Nothing: the result is known at the end."""
        return {}

    def merge(self, other: Handshake) -> None:
        """Both ends of a conversation have one flow hash: all of it is in one of the parts."""
        self._flows.merge(other._flows)
        self._take_over(other._known(), other._frames)

    def state(self) -> dict[str, Any]:
        return {
            **self._known(),
            "flows": self._flows.state(),
            "frames": [ipc_of(table) for table in self._frames],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._flows.restore(state["flows"])
        self._take_over(state, [table_of_ipc(octets) for octets in state["frames"]])

    def _known(self) -> dict[str, Any]:
        return {
            "chosen": self._chosen.state(),
            "left_out": self.left_out,
            "met": self._met,
        }

    def _take_over(self, known: Mapping[str, Any], frames: list[pa.Table]) -> None:
        self._chosen.take_over(known["chosen"])
        self.left_out += known["left_out"]
        self._met |= known["met"]
        self._frames += frames

    def tables(self) -> Mapping[str, pa.Table]:
        frames = pa.concat_tables([arrow_schema(HANDSHAKE).empty_table(), *self._frames])
        return {"frames": frames, "flows": self._flows.tables()["flows"]}


def _table(batch: Batch) -> pa.Table:
    """All frames of `batch` as a Table of HANDSHAKE."""
    packets, analysis = batch.packets, batch.analysis
    no_ack = packets["tcp_flags"] & _ACK == 0
    columns = {
        "number": column(batch.numbers),
        "source": fixed_binary(packets["source"]),
        "destination": fixed_binary(packets["destination"]),
        "sack_permitted": column(_present(batch, "tcp.options.sack_perm")),
        "relative_seq": column(analysis["seq"]),
        "relative_ack": column(analysis["ack"], no_ack),
        "ack_rtt": column(analysis["ack_rtt"], analysis["ack_rtt"] == NO_TIME),
        **{name: _option(batch, field, dtype) for name, (field, dtype) in _OPTIONS.items()},
    }
    for name in ("timestamp", "source_port", "destination_port", "tcp_flags", "payload_length"):
        columns[name] = column(packets[name])
    return table_of(HANDSHAKE, columns)


def _present(batch: Batch, field: str) -> npt.NDArray[np.bool_]:
    present = np.zeros(len(batch), np.bool_)
    present[_occurrences(batch, field).packet] = True
    return present


def _option(batch: Batch, field: str, dtype: str) -> pa.Array:
    """What an option says in each frame, null where it is not."""
    found = _occurrences(batch, field)
    values, missing = np.zeros(len(batch), dtype), np.ones(len(batch), np.bool_)
    values[found.packet], missing[found.packet] = found.values, False
    return column(values, missing)


def _occurrences(batch: Batch, name: str) -> Occurrences:
    field = find(name)
    assert field is not None
    return occurrences(batch, field)
