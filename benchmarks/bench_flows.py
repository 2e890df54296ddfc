"""Flows: a capture file in, flow records with round-trip times out."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
from peers.captures import Measure, Traffic

import spanline
from spanline.stages.flows import Flows


def bench_flow_stage(capture: Traffic, measure: Measure) -> None:
    """Decode and put every packet into the flow table; no Table is made."""

    def read() -> int:
        return sum(len(batch) for batch in spanline.open(capture.path).run(Flows()))

    measure(capture, read)


def bench_crunch(capture: Traffic, measure: Measure, tmp_path: Path) -> None:
    """The whole job: capture to Parquet."""

    def crunch() -> int:
        table = spanline.flows(capture.path)
        pyarrow.parquet.write_table(table, tmp_path / "flows.parquet")
        return capture.packets

    measure(capture, crunch)
