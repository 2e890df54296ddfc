"""`spanline rtt`"""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from spanline.cli.options import Inputs, Output, WrittenPath, makes_flows, reads_captures, shares_work, writes

_ROWS = 40


@click.command("rtt")
@click.option(
    "--metric",
    type=click.Choice(("syn_synack", "synack_ack", "handshake", "initial")),
    default="syn_synack",
    show_default=True,
    help="What to measure.",
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(0),
    metavar="N",
    help="This many servers, or frames with --follow; 0 is all. Default: 40 in a table, 8 in a plot (40 at most), "
    "else all.",
)
@click.option(
    "--follow",
    "conversation",
    metavar="CONVERSATION",
    help="Show one handshake and its times: tcp.stream==N, or both ends, A:port,B:port.",
)
@click.option(
    "--plot",
    metavar="FILE",
    type=WrittenPath(),
    help="Also draw the times by server over time; FILE ends in .html or .png.",
)
@writes("table", "json", "csv", "parquet")
@shares_work
@makes_flows
@reads_captures
def command(
    inputs: Inputs,
    flow_options: dict[str, Any],
    output: Output,
    metric: str,
    limit: int | None,
    conversation: str | None,
    plot: str | None,
) -> None:
    """Show TCP round-trip times by server, the slowest first.

    A server is an address, a port and, where tunnels separate flows, a VNI. The mirror stands between client and
    server, so there are two times and their sum:

    \b
      syn_synack  SYN to SYN-ACK: from the mirror to the server and back
      synack_ack  SYN-ACK to ACK: from the mirror to the client and back
      handshake   SYN to ACK: from the client to the server and back
      initial     Wireshark's tcp.analysis.initial_rtt

    Percentiles are by nearest rank: every number was measured.

    With --follow, all four of one conversation are shown, and the frames of its handshake. N is tshark's tcp.stream; an
    end is 10.0.0.1:443 or [2001:db8::1]:443, and either may come first.
    """
    if conversation is not None:
        from spanline.cli.following import follow_conversation

        if plot is not None or _is_given("metric"):
            raise click.UsageError("--follow shows all round-trip times of one conversation: no --metric, no --plot")
        follow_conversation(inputs, output, conversation, _limit(limit, output))
        return
    from spanline.cli.plotting import check_plot, plot_round_trips
    from spanline.cli.reading import account_for, conclude, follow, open_capture, warn_of_evicted
    from spanline.cli.show import show_round_trips
    from spanline.stages.round_trips import RoundTrips

    if plot is not None:
        check_plot(plot)
    stage = RoundTrips(metric, with_times=plot is not None, **flow_options, parts=inputs.parts)
    capture = open_capture(inputs)
    for _ in follow(capture, stage, quiet=inputs.quiet):
        pass
    show_round_trips(stage.tables()["rtt"], metric, _limit(limit, output), output)
    not_drawn = [] if plot is None else plot_round_trips(stage, metric, limit, plot)
    warn_of_evicted(stage.flows.evicted)
    account_for(capture, inputs)
    conclude([*capture.problems, *not_drawn])


def _limit(given: int | None, output: Output) -> int | None:
    """How many rows are shown; None: all."""
    default = _ROWS if output.format == "table" else 0
    return (default if given is None else given) or None


def _is_given(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT
