"""Flows: both directions of a conversation in one record, with its handshake's round-trip times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline import _decode, _flows
from spanline.arrow import column, fixed_binary, labels, table_of
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.schema import (
    CONN_STATES,
    END_REASONS,
    FLOW,
    FLOW_RECORD_DTYPE,
    NO_TIME,
    NO_TUNNEL_ID,
    NO_VLAN,
    TCP_FLAGS,
)

IDLE_TIMEOUT = 120.0
ACTIVE_TIMEOUT = 1800.0
MEMORY = 1 << 30
ROWS_AT_ONCE = 1 << 16
"""Flows of which a Table is made at a time: few enough for memory, a row group that queries skip through well."""

# flow_record.flags in ext/flow_record.h
_SYNACK, _HANDSHAKE, _SYN_AMBIGUOUS = 0x08, 0x10, 0x20
_DIRECTION_COLUMNS = (
    "packets",
    "bytes",
    "payload_bytes",
    "tcp_flags",
    "first_seen",
    "last_seen",
    "ttl_min",
    "ttl_max",
    "retransmissions",
)
# Columns that say nothing of a direction without packets.
_NULL_WHEN_SILENT = {"first_seen", "last_seen", "ttl_min", "ttl_max"}
_COLUMNS = tuple(one for one in FLOW if one.name != "community_id")


class Flows:
    """The flow table as a stage; its Table is "flows" (schema.FLOW without community_id, which is computed when read).

    idle_timeout    seconds without a packet after which a flow has ended; None: never
    active_timeout  seconds after which a flow is cut into several records; None: never
    by_vlan         frames of different VLANs are different flows
    by_vni          frames of different tunnels (VNI or GRE key) are different flows
    whole_frames    count bytes of the whole frame, as tshark does, and not of the innermost one
    memory          bytes that live flows may take; beyond, the least recently used end as "evicted"

    Which end is the originator, when flows end and what the columns mean: docs/flows.md.
    """

    def __init__(
        self,
        *,
        idle_timeout: float | None = IDLE_TIMEOUT,
        active_timeout: float | None = ACTIVE_TIMEOUT,
        by_vlan: bool = False,
        by_vni: bool = True,
        whole_frames: bool = False,
        memory: int = MEMORY,
    ) -> None:
        self._table = _flows.FlowTable(
            seed=_decode.SEED,
            idle_timeout=_nanoseconds("idle timeout", idle_timeout),
            active_timeout=_nanoseconds("active timeout", active_timeout),
            key_vlan=by_vlan,
            key_vni=by_vni,
            whole_frames=whole_frames,
            max_flows=memory // _flows.BYTES_PER_FLOW,
        )

    def update(self, batch: Batch) -> None:
        self._table.update(batch.packets.view(np.uint8), batch.buffers)

    def drain(self) -> Mapping[str, pa.Table]:
        """Flows that ended since the last call, by time of their first packet."""
        return {"flows": flows_table(self._table.drain().view(FLOW_RECORD_DTYPE))}

    def tables(self) -> Mapping[str, pa.Table]:
        parts = list(self.rest())
        return {"flows": parts[0] if len(parts) == 1 else pa.concat_tables(parts).sort_by("first_seen")}

    def rest(self) -> Iterator[pa.Table]:
        """tables() in parts, at least one: all that is live as one Table would take several times its memory."""
        finished = False
        while not finished:
            finished = self._table.finish(ROWS_AT_ONCE)
            yield self.drain()["flows"]

    @property
    def live(self) -> int:
        """Flows that have not ended."""
        return int(self._table.live)

    @property
    def pending(self) -> int:
        """Flows that ended and that drain() would give."""
        return int(self._table.pending)

    @property
    def evicted(self) -> int:
        """Flows ended by the memory cap."""
        return int(self._table.evicted)

    @property
    def flow_packets(self) -> int:
        """Frames that were counted into flows."""
        return int(self._table.flow_packets)

    @property
    def non_flow_packets(self) -> int:
        """Frames that were decoded and have no IP layer."""
        return int(self._table.non_flow_packets)


def _nanoseconds(what: str, seconds: float | None) -> int:
    if seconds is None:
        return 0
    if not 0 < seconds < 1e9:
        raise UsageError(f"an {what} of {seconds} s makes no sense", hint="give seconds above 0, or none for never")
    return round(seconds * 1e9)


def _direction_columns(records: npt.NDArray[np.void]) -> dict[str, pa.Array]:
    columns = {}
    for way, side in enumerate(("source", "destination")):
        direction = records["direction"][:, way]
        silent = direction["packets"] == 0
        for name in _DIRECTION_COLUMNS:
            values = direction[name]
            columns[f"{side}_{name}"] = column(values, silent) if name in _NULL_WHEN_SILENT else column(values)
        for bit, flag in enumerate(TCP_FLAGS):
            columns[f"{side}_{flag}_packets"] = column(direction["flag_counts"][:, bit])
    return columns


def _round_trips(records: npt.NDArray[np.void]) -> dict[str, pa.Array]:
    flags, unknown = records["flags"], {}
    syn_synack, synack_ack = records["syn_synack_rtt"], records["synack_ack_rtt"]
    unknown["syn_synack_rtt"] = (flags & _SYNACK == 0) | (syn_synack == NO_TIME)
    unknown["synack_ack_rtt"] = (flags & _HANDSHAKE == 0) | (synack_ack == NO_TIME)
    unknown["handshake_rtt"] = unknown["syn_synack_rtt"] | unknown["synack_ack_rtt"]
    unknown["initial_rtt"] = records["initial_rtt"] == NO_TIME
    # Two times of centuries have no sum in 64 bits; only a false clock makes them.
    handshake = np.where(unknown["handshake_rtt"], 0, syn_synack) + np.where(unknown["handshake_rtt"], 0, synack_ack)
    unknown["handshake_rtt"] |= handshake < 0
    values = {
        "syn_synack_rtt": syn_synack,
        "synack_ack_rtt": synack_ack,
        "handshake_rtt": handshake,
        "initial_rtt": records["initial_rtt"],
    }
    return {name: column(values[name], unknown[name]) for name in values}


def flows_table(records: npt.NDArray[np.void]) -> pa.Table:
    """Flow records (schema.FLOW_RECORD_DTYPE) as a Table, by time of their first packet."""
    starts = records["direction"]["first_seen"]
    first_seen = np.where(starts == NO_TIME, np.iinfo(np.int64).max, starts).min(axis=1)
    order = np.argsort(first_seen, kind="stable")
    records, first_seen = records[order], first_seen[order]
    states, offsets, letters = _flows.describe(records.view(np.uint8))
    columns: dict[str, pa.Array] = {
        "first_seen": column(first_seen),
        "last_seen": column(records["direction"]["last_seen"].max(axis=1)),
        "source": fixed_binary(records["source"]),
        "destination": fixed_binary(records["destination"]),
        "vlan": column(records["vlan"], records["vlan"] == NO_VLAN),
        "vni": column(records["vni"], records["vni"] == NO_TUNNEL_ID),
        "syn_ambiguous": column(records["flags"] & _SYN_AMBIGUOUS != 0),
        "conn_state": labels(states, CONN_STATES),
        "end_reason": labels(records["end_reason"], END_REASONS),
        "history": pa.StringArray.from_buffers(len(records), pa.py_buffer(offsets), pa.py_buffer(letters)),
        **{
            name: column(records[name])
            for name in ("source_port", "destination_port", "protocol", "syn_retransmissions", "synack_retransmissions")
        },
        **_direction_columns(records),
        **_round_trips(records),
    }
    return table_of(_COLUMNS, columns)
