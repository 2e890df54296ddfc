"""`spanline packets`"""

from __future__ import annotations

from dataclasses import replace

import click

from spanline.cli.options import Inputs, Output, reads_captures, writes


@click.command("packets")
@click.option("-n", "--count", type=click.IntRange(0), help="Stop after this many frames; 0 is all.")
@click.option(
    "-w",
    "--write",
    "target",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Write the frames to FILE instead: .pcapng or .pcap, also .zst, .gz or .lz4; - is pcapng to standard output.",
)
@writes("table", "json", "csv", "parquet")
@reads_captures
def command(inputs: Inputs, output: Output, count: int | None, target: str | None) -> None:
    """List frames, a line each.

    Number, time of day (UTC), source, destination, protocol, VNI, length, and what the transport header says. Addresses
    and ports are those of the innermost IP layer. Sequence numbers are raw. A frame that could not be read to its end
    says where: [truncated at tcp].
    """
    from spanline.cli.reading import conclude, follow, open_capture
    from spanline.cli.show import show_packets, write_packets

    # Whoever asks for the first few wants to hear of nothing behind them.
    capture = open_capture(replace(inputs, threads=1) if count else inputs)
    if target is not None:
        if output != Output(None, "table"):
            raise click.UsageError("-w writes frames, and -o and --format what is said of them: choose one")
        write_packets(capture, follow(capture, quiet=inputs.quiet), count or None, target)
        conclude(capture.problems)
        return
    # A progress bar between lines would only be in their way.
    quiet = inputs.quiet or output.path is None
    show_packets(capture, follow(capture, quiet=quiet), count or None, output)
    conclude(capture.problems)
