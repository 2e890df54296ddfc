"""Flow records as a Table."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline import _columns, _flows
from spanline.arrow import chosen, column, fixed_binary, labels, table_of, text
from spanline.protocols.tables import application_set
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

# flow_record.application in ext/flow_names.h: a name's number, and
_FOUND_FOREIGN = 0x0200
# flow_record.flags in ext/flow_record.h
_SYNACK, _HANDSHAKE, _SYN_AMBIGUOUS = 0x08, 0x10, 0x20
# Flags as flow_events.flag_counts has them; ACK and PSH, which most segments have, are counted elsewhere.
_RARE_FLAGS = ("fin", "syn", "rst", "urg", "ece", "cwr")
_PSH, _ACK = 0x08, 0x10
_WITHOUT_ID = tuple(one for one in FLOW if one.name != "community_id")
_SIDES = ("source", "destination")

# Records of which all columns are made before the next ones are looked at: a third of a megabyte stays in the cache,
# and in each record some 60 columns are looked for.
_SLICE = 1024

Values = dict[str, npt.NDArray[Any]]


def _members() -> list[tuple[str, int, np.dtype[Any]]]:
    """(name, offset, dtype) of every member of a flow record that a column is made of, or a part of one."""
    members = []

    def add(name: str, dtype: np.dtype[Any], *path: str | int) -> None:
        """The member of `dtype` that `path`, names and indices, leads to."""
        offset = 0
        for step in path:
            if isinstance(step, str):
                assert dtype.fields is not None
                dtype, within = dtype.fields[step][:2]
                offset += within
            else:
                assert dtype.subdtype is not None
                dtype = dtype.subdtype[0]
                offset += step * dtype.itemsize
        members.append((name, offset, dtype))

    record = FLOW_RECORD_DTYPE
    for name in (
        *("first_seen", "last_seen", "source", "destination", "source_port", "destination_port", "protocol", "vlan"),
        *("vni", "flags", "syn_synack_rtt", "synack_ack_rtt", "initial_rtt", "end_reason"),
        *("syn_retransmissions", "synack_retransmissions", "application"),
    ):
        add(name, record, name)
    for way, side in enumerate(_SIDES):
        for name in ("last_seen", "packets", "bytes", "payload_bytes", "ack_packets", "psh_packets"):
            add(f"{side}_{name}", record, "direction", way, name)
        for name in ("ttl_min", "ttl_max"):
            add(f"{side}_{name}", record, "direction", way, name)
        add(f"{side}_first_seen", record, "started", way)
        for name in ("tcp_flags", "retransmissions"):
            add(f"{side}_{name}", record, "events", way, name)
        for n, flag in enumerate(_RARE_FLAGS):
            add(f"{side}_{flag}_packets", record, "events", way, "flag_counts", n)
    return members


_MEMBERS = _members()


def _taken_apart(records: npt.NDArray[np.void], values: Values) -> tuple[npt.NDArray[np.uint8], pa.Array]:
    """Fills `values` with all _MEMBERS of the records in order of first_seen; (conn_states, histories) of them."""
    order = np.argsort(records["first_seen"], kind="stable")
    octets = records.view(np.uint8).reshape(-1, FLOW_RECORD_DTYPE.itemsize)
    for name, _, dtype in _MEMBERS:
        values[name] = np.empty(len(records), dtype)
    members = [(offset, dtype.itemsize, values[name].reshape(-1).view(np.uint8)) for name, offset, dtype in _MEMBERS]
    states, ends, letters, written = np.empty(len(records), np.uint8), np.zeros(len(records) + 1, np.int32), [], 0
    for at in range(0, len(records), _SLICE):
        some = octets.take(order[at : at + _SLICE], axis=0)
        _columns.take(some, members, at)
        states[at : at + len(some)], offsets, history = _flows.describe(some.reshape(-1))
        ends[at + 1 : at + 1 + len(some)] = offsets[1:] + written
        written += len(history)
        letters.append(history)
    return states, text(ends, np.concatenate(letters) if letters else np.empty(0, np.uint8))


def _direction_columns(values: Values) -> dict[str, pa.Array]:
    columns = {}
    for side in _SIDES:
        silent = values[f"{side}_packets"] == 0
        flags = values[f"{side}_tcp_flags"]
        flags |= (values[f"{side}_ack_packets"] > 0).astype(np.uint16) * np.uint16(_ACK)
        flags |= (values[f"{side}_psh_packets"] > 0).astype(np.uint16) * np.uint16(_PSH)
        names = ("packets", "bytes", "payload_bytes", "tcp_flags", "retransmissions")
        for name in (*names, *(f"{flag}_packets" for flag in TCP_FLAGS)):
            columns[f"{side}_{name}"] = column(values[f"{side}_{name}"])
        for name in ("first_seen", "last_seen", "ttl_min", "ttl_max"):
            columns[f"{side}_{name}"] = column(values[f"{side}_{name}"], silent)
    return columns


def _round_trips(values: Values) -> dict[str, pa.Array]:
    flags, unknown = values["flags"], {}
    syn_synack, synack_ack = values["syn_synack_rtt"], values["synack_ack_rtt"]
    unknown["syn_synack_rtt"] = (flags & _SYNACK == 0) | (syn_synack == NO_TIME)
    unknown["synack_ack_rtt"] = (flags & _HANDSHAKE == 0) | (synack_ack == NO_TIME)
    unknown["handshake_rtt"] = unknown["syn_synack_rtt"] | unknown["synack_ack_rtt"]
    unknown["initial_rtt"] = values["initial_rtt"] == NO_TIME
    # Two times of centuries have no sum in 64 bits; only a false clock makes them.
    handshake = np.where(unknown["handshake_rtt"], 0, syn_synack) + np.where(unknown["handshake_rtt"], 0, synack_ack)
    unknown["handshake_rtt"] |= handshake < 0
    found = {
        "syn_synack_rtt": syn_synack,
        "synack_ack_rtt": synack_ack,
        "handshake_rtt": handshake,
        "initial_rtt": values["initial_rtt"],
    }
    return {name: column(found[name], unknown[name]) for name in found}


def _applications(numbers: npt.NDArray[np.uint16]) -> dict[str, pa.Array]:
    names = numbers & 0xFF
    return {
        "application": chosen(application_set().names, names),
        "foreign_port": column(numbers & _FOUND_FOREIGN != 0, names == 0),
    }


def flows_table(records: npt.NDArray[np.void]) -> pa.Table:
    """Flow records (schema.FLOW_RECORD_DTYPE) as a Table of schema.FLOW without community_id, by time of their first
    packet."""
    values: Values = {}
    states, histories = _taken_apart(records, values)
    columns: dict[str, pa.Array] = {
        "source": fixed_binary(values["source"]),
        "destination": fixed_binary(values["destination"]),
        "vlan": column(values["vlan"], values["vlan"] == NO_VLAN),
        "vni": column(values["vni"], values["vni"] == NO_TUNNEL_ID),
        "syn_ambiguous": column(values["flags"] & _SYN_AMBIGUOUS != 0),
        "conn_state": labels(states, CONN_STATES),
        "end_reason": labels(values["end_reason"], END_REASONS),
        "history": histories,
        **_applications(values["application"]),
        **{
            name: column(values[name])
            for name in (
                *("first_seen", "last_seen", "source_port", "destination_port", "protocol"),
                *("syn_retransmissions", "synack_retransmissions"),
            )
        },
        **_direction_columns(values),
        **_round_trips(values),
    }
    return table_of(_WITHOUT_ID, columns)
