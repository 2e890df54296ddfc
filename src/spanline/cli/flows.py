"""`spanline flows`"""

from __future__ import annotations

from typing import Any

import click

from spanline.cli.options import Inputs, Output, makes_flows, reads_captures, shares_work, writes


@click.command("flows")
@click.option(
    "--sort",
    "order",
    type=click.Choice(("first_seen", "bytes", "packets", "rtt")),
    default="first_seen",
    show_default=True,
    help="Largest first; by first_seen earliest first.",
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(0),
    metavar="N",
    help="This many flows; 0 is all. Default: 40 in a table, else all.",
)
@writes("table", "json", "csv", "parquet")
@shares_work
@makes_flows
@reads_captures
def command(inputs: Inputs, flow_options: dict[str, Any], output: Output, order: str, limit: int | None) -> None:
    """List flows with their handshake round-trip times.

    A flow is both directions of a conversation. Its RTT is that of the TCP handshake, from client to server and back;
    its state is Zeek's conn_state: SF is a normal end, S0 a SYN without an answer, REJ a refusal.
    """
    from spanline.cli.reading import account_for, conclude, follow, open_capture, warn_of_evicted
    from spanline.cli.show import show_flows
    from spanline.stages.sorted_flows import SortedFlows

    if limit is None:
        limit = 40 if output.format == "table" else 0
    stage = SortedFlows(order, limit or None, **flow_options, parts=inputs.parts)
    capture = open_capture(inputs)
    for _ in follow(capture, stage, quiet=inputs.quiet):
        pass
    show_flows(stage.tables()["flows"], stage.total, output)
    warn_of_evicted(stage.flows.evicted)
    account_for(capture, inputs)
    conclude(capture.problems)
