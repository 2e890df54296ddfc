"""Endpoints: what each address sent and got, as tshark's -z endpoints counts it: the sums of its conversations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline import _decode, _tally
from spanline.arrow import column, table_of
from spanline.schema import TALLY_ENTRY_DTYPE, Column
from spanline.stages.conversations import KINDS, Conversations, end_arrays, most_frames_first, with_others


def endpoint_columns(kind: str) -> tuple[Column, ...]:
    """The columns of the Table of endpoints of one type."""
    return (
        Column("address", "", "mac" if kind == "eth" else "address", "Address", "", "null: all that found no room"),
        Column("port", "", "uint16", "Port", "", "null where there are none"),
        Column("packets", "", "uint64", "Packets", "", "frames"),
        Column("bytes", "", "uint64", "Bytes", "byte", "wire length of whole frames"),
        Column("sent_packets", "", "uint64", "Sent packets", "", "frames"),
        Column("sent_bytes", "", "uint64", "Sent bytes", "byte"),
        Column("received_packets", "", "uint64", "Received packets", "", "frames"),
        Column("received_bytes", "", "uint64", "Received bytes", "byte"),
    )


class Endpoints(Conversations):
    """Counts what each address, or address and port, sent and got, by type; with the options of Conversations.

    The Tables have the most frames first, of equal ones what was seen first, as tshark has it.
    """

    def tables(self) -> Mapping[str, pa.Table]:
        return {kind: endpoints_table(self, kind) for kind in self.types}


def endpoints(conversations: Conversations, kind: str) -> npt.NDArray[np.void]:
    """The ends of conversations of one type, the most frames first.

    Entries (schema.TALLY_ENTRY_DTYPE) of which the destination says nothing, and the directions are what was sent and
    what was received.
    """
    entries = conversations.entries(kind)
    tally = _tally.Tally(seed=_decode.SEED, kind=KINDS[kind], most=2 * len(entries) + (1 << 16))
    tally.take_ends(entries.view(np.uint8))
    ends = tally.entries().view(TALLY_ENTRY_DTYPE)
    return most_frames_first(with_others(ends, conversations.others(kind)))


def endpoints_table(conversations: Conversations, kind: str) -> pa.Table:
    """The Table of endpoints of one type."""
    ends = endpoints(conversations, kind)
    sent, received = (ends["packets"][:, way] for way in (0, 1))
    sent_bytes, received_bytes = (ends["bytes"][:, way] for way in (0, 1))
    is_other = ends["first"] == np.uint64(2**64 - 1)
    return table_of(
        endpoint_columns(kind),
        {
            **end_arrays(ends, kind, "source", is_other, "address"),
            "packets": column(sent + received),
            "bytes": column(sent_bytes + received_bytes),
            "sent_packets": column(sent),
            "sent_bytes": column(sent_bytes),
            "received_packets": column(received),
            "received_bytes": column(received_bytes),
        },
    )
