"""`spanline crunch`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spanline.cli.options import (
    Inputs,
    Output,
    WrittenPath,
    chosen,
    is_folder,
    makes_flows,
    reads_captures,
    shares_work,
    writes,
)
from spanline.cli.store_option import stores_flows

if TYPE_CHECKING:
    from spanline.cli.storing import Storing


@click.command("crunch")
@click.option(
    "--plaintext",
    metavar="FILE",
    type=WrittenPath(),
    help="Also find logins in the clear, as `spanline plaintext` does, and write them, redacted, to FILE.",
)
@click.option(
    "--segment-time",
    type=click.FloatRange(0, 1e9, min_open=True),
    metavar="SECONDS",
    help="With -o FOLDER/ or --store, write the flows that have ended to a file of their own so often. Default: 60.",
)
@stores_flows
@writes("parquet", "csv", "json", required=True, folders=True, instead="store")
@shares_work
@makes_flows
@reads_captures
def command(
    inputs: Inputs,
    flow_options: dict[str, Any],
    output: Output | None,
    store: str | None,
    plaintext: str | None,
    segment_time: float | None,
) -> None:
    """Write all flows of captures of any size to a file, to files of a folder, or to a store.

    Flows are written as they end, so memory does not grow with the capture. The file is complete, or it is not there.
    -o - writes to standard output, as Parquet unless --format says otherwise. -o FOLDER/ makes files of flows that
    ended, each complete when it is there: flows-20261122T161500Z-000001.parquet. --store DIR keeps weeks of flows to be
    asked; a capture that is in it already is left out, whatever it is called.

    In Parquet, times are timestamps and round-trip times durations, both in ns; in CSV and JSON, times are RFC 3339
    text and durations integers, in ns. The last line on stderr accounts for every frame.
    """
    from spanline.cli.crunch_segments import SEGMENT_TIME
    from spanline.cli.crunching import Findings, crunch
    from spanline.cli.reading import conclude, open_capture
    from spanline.stages.flows import Flows

    if output is not None and not is_folder(output.path) and segment_time is not None:
        raise click.UsageError("--segment-time is for several files: name a folder, -o FOLDER/")
    place: Output | Storing
    if output is None:
        from spanline.cli.storing import Storing

        assert store is not None
        place = Storing(store, inputs)
        if not place.paths:
            return
        paths = place.paths
    else:
        place, paths = output, None
    in_the_clear = None
    if plaintext is not None:
        by = {name: flow_options[name] for name in ("by_vlan", "by_vni", "memory")}
        in_the_clear = Findings(_beside(output, plaintext), **by)
        flow_options["memory"] = max(flow_options["memory"] - in_the_clear.memory, 1)
    capture = open_capture(inputs, paths)
    flows = Flows(**flow_options, parts=inputs.parts)
    crunch(capture, flows, place, segment_time or SEGMENT_TIME, inputs, in_the_clear)
    conclude([*capture.problems, *(in_the_clear.stage.problems if in_the_clear else ())])


def _beside(output: Output | None, path: str) -> Output:
    """Where findings go, beside flows that go to `output`."""
    place = chosen(path, None, ("parquet", "csv", "json"), True)
    other = None if output is None or output.path is None else Path(output.path).resolve()
    if place.path is None or Path(place.path).resolve() == other:
        raise click.UsageError("--plaintext needs a file of its own")
    return place
