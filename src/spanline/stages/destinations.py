"""Destinations and ports: where packets go, as `tshark -z dests,tree` counts them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline._tree_tally import DESTINATIONS
from spanline.arrow import column, strings, table_of
from spanline.batch import PROTOCOLS, Batch
from spanline.schema import TREE_QUOTE_DTYPE, Column
from spanline.stages.statistics_tree import COUNTS, TRANSPORTS, StatisticsTree, address_columns

DESTINATION = (
    Column("ip_version", "", "uint8", "IP", "", "of the layers that are counted"),
    Column("address", "", "address", "Destination"),
    Column("transport", "", "label", "Transport", "", "TCP, UDP, SCTP or NONE; null: all of the address together"),
    Column("port", "", "uint16", "Port", "", "destination port, 0 without transport; null: all of them together"),
    *COUNTS,
)
"""The Table "destinations": a row for each destination, each of its transports, and each of their ports."""

# By IP's number of ICMP and ICMPv6: the types of messages that quote the packet they are about.
_ERRORS = {1: (3, 4, 5, 11, 12), 58: (1, 2, 3, 4)}
# By number of the protocol, an index into TRANSPORTS.
_TRANSPORT_OF = np.array([TRANSPORTS.index(name.upper()) if name.upper() in TRANSPORTS else 0 for name in PROTOCOLS])


class Destinations(StatisticsTree):
    """Packets by destination address, transport and port. A Stage; StatisticsTree tells what is counted.

    tables() gives "destinations", a Table of DESTINATION: IPv4 first, in either the most frequent first.
    """

    kind = DESTINATIONS

    def _quotes(self, batch: Batch) -> npt.NDArray[np.void]:
        packets = batch.packets
        errors = np.zeros(len(packets), np.bool_)
        for protocol, types in _ERRORS.items():
            rows = np.flatnonzero(packets["ip_protocol"] == protocol)
            errors[rows] = np.isin(packets["source_port"][rows], types)
        if not errors.any():
            return super()._quotes(batch)
        chosen = batch.select(errors)
        layers = chosen.layers
        layers = layers[(_TRANSPORT_OF[layers["protocol"]] > 0) & (layers["length"] >= 4)]
        layers = layers[np.flatnonzero(np.diff(layers["packet"].astype(np.int64), append=len(chosen)))]
        quotes = np.zeros(len(layers), TREE_QUOTE_DTYPE)
        quotes["packet"] = np.flatnonzero(errors)[layers["packet"]]
        quotes["transport"] = _TRANSPORT_OF[layers["protocol"]]
        for number, buffer in enumerate(chosen.buffers):
            own = layers["buffer"] == number
            at = layers["offset"][own].astype(np.int64)
            quotes["destination_port"][own] = buffer[at + 2].astype(np.uint16) << 8 | buffer[at + 3]
        return quotes

    def tables(self) -> Mapping[str, pa.Table]:
        nodes, counts = self._columns()
        level = nodes["level"]
        transports = pa.DictionaryArray.from_arrays(column(nodes["transport"].astype(np.int8), level < 2), strings(TRANSPORTS))
        columns = {
            **address_columns(nodes),
            "transport": transports,
            "port": column(nodes["port"], level < 3),
            **counts,
        }
        return {"destinations": table_of(DESTINATION, columns)}
