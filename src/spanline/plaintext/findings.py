"""Findings with the conversations that they are about, and as a Table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from spanline.arrow import column, fixed_binary, labels, strings, table_of
from spanline.community import community_ids
from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Severity
from spanline.plaintext.redaction import Shows
from spanline.schema import FINDING, TRANSPORTS

_IP_PROTOCOLS = {"tcp": 6, "udp": 17}


@dataclass(slots=True)
class Found:
    """A finding and where it was made.

    client, server  addresses, 16 bytes, IPv4 mapped
    protocol        "" where none is known
    foreign_port    the protocol is not expected there
    """

    finding: Finding
    conversation: Conversation
    client: bytes
    server: bytes
    protocol: str
    foreign_port: bool


def findings_table(found: Sequence[Found], shows: Shows) -> pa.Table:
    """A Table of schema.FINDING, by time; secrets as `shows` has them."""
    rows = sorted(found, key=_order)
    conversations = [row.conversation for row in rows]
    findings = [row.finding for row in rows]
    ends = {
        "source": fixed_binary(_addresses([row.client for row in rows])),
        "destination": fixed_binary(_addresses([row.server for row in rows])),
        "source_port": _numbers([one.client_port for one in conversations], "u2"),
        "destination_port": _numbers([one.server_port for one in conversations], "u2"),
        "protocol": _numbers([_IP_PROTOCOLS[one.transport] for one in conversations], "u1"),
    }
    return table_of(
        FINDING,
        {
            "time": _numbers([one.time for one in findings], "i8"),
            "community_id": community_ids(pa.Table.from_arrays(list(ends.values()), names=list(ends))),
            "vlan": _numbers([one.vlan for one in conversations], "u2"),
            "vni": _numbers([one.vni for one in conversations], "u4"),
            "transport": _labels([one.transport for one in conversations], TRANSPORTS),
            "protocol": _texts([row.protocol for row in rows]),
            "foreign_port": column(np.array([row.foreign_port for row in rows], np.bool_)),
            "client": ends["source"],
            "client_port": ends["source_port"],
            "server": ends["destination"],
            "server_port": ends["destination_port"],
            "kind": _labels([one.kind for one in findings], tuple(Kind)),
            "account": _texts([one.account for one in findings]),
            "secret": strings([None if one.secret is None else shows.text(one.secret) for one in findings]),
            "scheme": strings([one.scheme for one in findings]),
            "outcome": _labels([one.outcome for one in findings], tuple(Outcome)),
            "inferred": column(np.array([one.inferred for one in findings], np.bool_)),
            "frames": _lists([one.frames for one in findings]),
            "severity": _labels([one.severity for one in findings], tuple(Severity)),
            "remedy": strings([one.remedy for one in findings]),
            "detail": _texts([one.detail for one in findings]),
        },
    )


def _order(row: Found) -> tuple[Any, ...]:
    """Also of findings of one moment: however the work was divided, their order is the same."""
    finding, conversation = row.finding, row.conversation
    ends = row.client, conversation.client_port, row.server, conversation.server_port, conversation.vni or 0
    return finding.time, finding.frames, *ends, row.protocol, finding.scheme, finding.account


def _texts(texts: Sequence[str]) -> pa.Array:
    """Null for none. Halves of surrogate pairs, which are no text, are escaped."""
    return strings([text.encode(errors="backslashreplace").decode() or None for text in texts])


def _addresses(addresses: Sequence[bytes]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(b"".join(addresses), np.uint8).reshape(-1, 16)


def _numbers(numbers: Sequence[int | None], kind: str) -> pa.Array:
    missing = np.array([number is None for number in numbers], np.bool_)
    return column(np.array([number or 0 for number in numbers], kind), missing if missing.any() else None)


def _lists(lists: Sequence[Sequence[int]]) -> pa.Array:
    ends = np.cumsum([0, *map(len, lists)], dtype=np.int32)
    values = np.array([number for numbers in lists for number in numbers], np.uint64)
    return pa.ListArray.from_arrays(column(ends), column(values))


def _labels(values: Sequence[str], names: Sequence[str]) -> pa.Array:
    return labels(np.array([names.index(value) for value in values], np.int8), names)
