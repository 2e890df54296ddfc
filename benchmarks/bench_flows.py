"""Flows: a capture file in, flow records with round-trip times out."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute
import pyarrow.parquet
from peers.captures import Measure, Traffic

import spanline
from spanline.cli.crunch import command
from spanline.stages.flows import Flows


def bench_flow_stage(capture: Traffic, measure: Measure) -> None:
    """Decode and put every packet into the flow table; no Table is made."""

    def read() -> int:
        return sum(len(batch) for batch in spanline.open(capture.path).run(Flows()))

    measure(capture, read)


def bench_crunch(capture: Traffic, measure: Measure, tmp_path: Path) -> None:
    """`spanline crunch`, capture to Parquet, without the start of a process."""
    path = tmp_path / "flows.parquet"

    def crunch() -> int:
        command.main([str(capture.path), "--quiet", "--output", str(path)], standalone_mode=False)
        return capture.packets

    measure(capture, crunch)
    flows = pyarrow.parquet.read_table(path, columns=["source_packets", "destination_packets"])
    assert sum(pyarrow.compute.sum(flows[name]).as_py() for name in flows.column_names) == capture.packets
