"""Destinations and ports: where packets go, as `tshark -z dests,tree` counts them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline._tree_tally import DESTINATIONS
from spanline.batch import PROTOCOLS, Batch
from spanline.schema import TREE_QUOTE_DTYPE, Column
from spanline.stages.statistics_tree import COUNTS, TRANSPORTS, StatisticsTree

DESTINATION = (
    Column("ip_version", "", "uint8", "IP", "", "of the layers that are counted"),
    Column("address", "", "address", "Destination"),
    Column("transport", "", "label", "Transport", "", "TCP, UDP, SCTP or NONE; null: all of the address together"),
    Column("port", "", "uint16", "Port", "", "destination port, 0 without transport; null: all of them together"),
    *COUNTS,
)
"""The Table "destinations": a row for each destination, each of its transports, and each of their ports."""

_ICMP, _ICMPV6 = 1, 58
# For ICMP and for ICMPv6, by type: whether the message quotes the packet that it is about.
_IS_ERROR = np.zeros((2, 256), np.bool_)
_IS_ERROR[0, [3, 4, 5, 11, 12]] = True
_IS_ERROR[1, [1, 2, 3, 4]] = True
# By number of the protocol, an index into TRANSPORTS.
_TRANSPORT_OF = np.array([TRANSPORTS.index(name.upper()) if name.upper() in TRANSPORTS else 0 for name in PROTOCOLS])


class Destinations(StatisticsTree):
    """Packets by destination address, transport and port. A Stage; StatisticsTree tells what is counted.

    tables() gives "destinations", a Table of DESTINATION: IPv4 first, in either the most frequent first.
    """

    kind = DESTINATIONS

    def _quotes(self, batch: Batch) -> npt.NDArray[np.void]:
        packets = batch.packets
        protocol = packets["ip_protocol"]
        rows = np.flatnonzero((protocol == _ICMP) | (protocol == _ICMPV6))
        rows = rows[_IS_ERROR[(protocol[rows] == _ICMPV6).astype(np.int8), packets["source_port"][rows] & 0xFF]]
        if not len(rows):
            return super()._quotes(batch)
        errors = np.zeros(len(packets), np.bool_)
        errors[rows] = True
        chosen = batch.select(errors)
        layers = chosen.layers
        layers = layers[(_TRANSPORT_OF[layers["protocol"]] > 0) & (layers["length"] >= 4)]
        layers = layers[np.flatnonzero(np.diff(layers["packet"].astype(np.int64), append=len(chosen)))]
        quotes = np.zeros(len(layers), TREE_QUOTE_DTYPE)
        quotes["packet"] = rows[layers["packet"]]
        quotes["transport"] = _TRANSPORT_OF[layers["protocol"]]
        for number, buffer in enumerate(chosen.buffers):
            own = layers["buffer"] == number
            at = layers["offset"][own].astype(np.int64)
            quotes["destination_port"][own] = buffer[at + 2].astype(np.uint16) << 8 | buffer[at + 3]
        return quotes

    def tables(self) -> Mapping[str, pa.Table]:
        return {"destinations": self._table(DESTINATION)}
