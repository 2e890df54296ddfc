"""`spanline crunch`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spanline.cli.options import Inputs, Output, chosen, makes_flows, reads_captures, writes


@click.command("crunch")
@click.option(
    "--plaintext",
    metavar="FILE",
    type=click.Path(),
    help="Also find logins in the clear, as `spanline plaintext` does, and write them, redacted, to FILE.",
)
@writes("parquet", "csv", "json", required=True)
@makes_flows
@reads_captures
def command(inputs: Inputs, flow_options: dict[str, Any], output: Output, plaintext: str | None) -> None:
    """Write all flows of captures of any size to a file.

    Flows are written as they end, so memory does not grow with the capture. The file is complete, or it is not there.
    -o - writes to standard output, as Parquet unless --format says otherwise.

    In Parquet, times are timestamps and round-trip times durations, both in ns; in CSV and JSON, times are RFC 3339
    text and durations integers, in ns. The last line on stderr accounts for every frame.
    """
    from spanline.cli.crunching import Findings, crunch
    from spanline.cli.reading import conclude, open_capture
    from spanline.stages.flows import Flows

    in_the_clear = None
    if plaintext is not None:
        by = {name: flow_options[name] for name in ("by_vlan", "by_vni", "memory")}
        in_the_clear = Findings(_beside(output, plaintext), **by)
        flow_options["memory"] = max(flow_options["memory"] - in_the_clear.memory, 1)
    capture = open_capture(inputs)
    crunch(capture, Flows(**flow_options, parts=inputs.parts), output, inputs.quiet, inputs.threads, in_the_clear)
    conclude([*capture.problems, *(in_the_clear.stage.problems if in_the_clear else ())])


def _beside(output: Output, path: str) -> Output:
    """Where findings go, beside flows that go to `output`."""
    place = chosen(path, None, ("parquet", "csv", "json"), True)
    if place.path is None or (output.path is not None and Path(place.path).resolve() == Path(output.path).resolve()):
        raise click.UsageError("--plaintext needs a file of its own")
    return place
