"""Round-trip times on a terminal."""

from __future__ import annotations

import pyarrow as pa
from rich.console import Console

from spanline.arrow import address_text
from spanline.cli.flow_view import endpoint
from spanline.cli.screen import cell, draw, table
from spanline.cli.text import UNKNOWN, duration, plural, quantity
from spanline.stages.round_trips import METRICS, PERCENTILES

_RANKS = tuple(PERCENTILES)


def print_round_trips(times: pa.Table, metric: str, limit: int | None, target: Console) -> None:
    """The Table "rtt" of stages.round_trips, its first `limit` rows, and what the numbers mean."""
    if not times.num_rows:
        draw(target, f"no round-trip times ({METRICS[metric]})")
        return
    shown = times.slice(0, limit)
    for name in _RANKS:
        at = shown.schema.get_field_index(name)
        shown = shown.set_column(at, name, shown.column(at).cast(pa.int64()))
    has_vni = shown.column("vni").null_count < shown.num_rows
    vni = [("VNI", "right")] if has_vni else []
    made = table([("Server", "left"), *vni, ("Count", "right"), *((name, "right") for name in _RANKS)])
    for row in shown.to_pylist():
        server = "".join(endpoint(address_text(row["server"]), str(row["port"])))
        tenant = [UNKNOWN if row["vni"] is None else str(row["vni"])] if has_vni else []
        made.add_row(*map(cell, [server, *tenant, quantity(row["count"]), *(duration(row[name]) for name in _RANKS)]))
    draw(target, cell(f"{METRICS[metric]}. Slowest p50 first.", "dim"), made)
    if times.num_rows > shown.num_rows:
        draw(target, cell(f"{shown.num_rows:,} of {plural(times.num_rows, 'server')}; -n 0 shows all", "dim"))
