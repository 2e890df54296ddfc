"""`spanline crunch`"""

from __future__ import annotations

from typing import Any

import click

from spanline.cli.options import Inputs, Output, makes_flows, reads_captures, writes


@click.command("crunch")
@writes("parquet", "csv", "json", required=True)
@makes_flows
@reads_captures
def command(inputs: Inputs, flow_options: dict[str, Any], output: Output) -> None:
    """Write all flows of captures of any size to a file.

    Flows are written as they end, so memory does not grow with the capture. The file is complete, or it is not there.
    -o - writes to standard output, as Parquet unless --format says otherwise.

    In Parquet, times are timestamps and round-trip times durations, both in ns; in CSV and JSON, times are RFC 3339
    text and durations integers, in ns. The last line on stderr accounts for every frame.
    """
    from spanline.cli.crunching import crunch
    from spanline.cli.reading import conclude, open_capture
    from spanline.stages.flows import Flows

    capture = open_capture(inputs)
    crunch(capture, Flows(**flow_options, parts=inputs.parts), output, inputs.quiet, inputs.threads)
    conclude(capture.problems)
