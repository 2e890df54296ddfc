"""Hosts: which addresses packets come from and go to, as `tshark -z ip_hosts,tree` counts them."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from spanline._tree_tally import HOSTS
from spanline.schema import Column
from spanline.stages.statistics_tree import COUNTS, StatisticsTree

HOST = (
    Column("ip_version", "", "uint8", "IP", "", "of the layers that are counted"),
    Column("address", "", "address", "Address"),
    *COUNTS,
)
"""The Table "hosts": a row for each address."""


class Hosts(StatisticsTree):
    """Packets by address, source or destination. A Stage; StatisticsTree tells what is counted.

    tables() gives "hosts", a Table of HOST: IPv4 first, in either the most frequent first.
    """

    kind = HOSTS

    def tables(self) -> Mapping[str, pa.Table]:
        return {"hosts": self._table(HOST)}
