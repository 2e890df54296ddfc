"""`spanline rtt`"""

from __future__ import annotations

from typing import Any

import click

from spanline.cli.options import Inputs, Output, makes_flows, reads_captures, writes


@click.command("rtt")
@click.option(
    "--metric",
    type=click.Choice(("syn_synack", "synack_ack", "handshake", "initial")),
    default="syn_synack",
    show_default=True,
    help="What to measure.",
)
@click.option(
    "-n", "--limit", type=click.IntRange(0), help="This many servers; 0 is all. Default: 40 in a table, else all."
)
@writes("table", "json", "csv", "parquet")
@makes_flows
@reads_captures
def command(inputs: Inputs, flow_options: dict[str, Any], output: Output, metric: str, limit: int | None) -> None:
    """Show TCP round-trip times by server, the slowest first.

    A server is an address, a port and, where tunnels separate flows, a VNI. The mirror stands between client and
    server, so there are two times and their sum:

    \b
      syn_synack  SYN to SYN-ACK: from the mirror to the server and back
      synack_ack  SYN-ACK to ACK: from the mirror to the client and back
      handshake   SYN to ACK: from the client to the server and back
      initial     Wireshark's tcp.analysis.initial_rtt

    Percentiles are by nearest rank: every number was measured.
    """
    from spanline.cli.reading import conclude, follow, open_capture, warn_of_evicted
    from spanline.cli.show import show_round_trips
    from spanline.stages.round_trips import RoundTrips

    if limit is None:
        limit = 40 if output.format == "table" else 0
    stage = RoundTrips(metric, **flow_options, parts=inputs.parts)
    capture = open_capture(inputs)
    for _ in follow(capture, stage, quiet=inputs.quiet):
        pass
    show_round_trips(stage.tables()["rtt"], metric, limit or None, output)
    warn_of_evicted(stage.flows.evicted)
    conclude(capture.problems)
