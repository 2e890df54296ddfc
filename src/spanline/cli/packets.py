"""`spanline packets`"""

from __future__ import annotations

from dataclasses import replace

import click

from spanline.cli.options import Inputs, Output, reads_captures, writes
from spanline.errors import UsageError


@click.command("packets")
@click.option("-n", "--count", type=click.IntRange(0), help="Stop after this many frames; 0 is all.")
@click.option("-T", "shape", type=click.Choice(["fields"]), help="Print the fields of -e as tshark does.")
@click.option("-e", "names", multiple=True, metavar="FIELD", help="A field to print: ip.src. Can be repeated.")
@click.option("-E", "styles", multiple=True, metavar="NAME=VALUE", help="How -T fields prints, as in tshark: header=y.")
@writes("table", "json", "csv", "parquet")
@reads_captures
def command(
    inputs: Inputs,
    output: Output,
    count: int | None,
    shape: str | None,
    names: tuple[str, ...],
    styles: tuple[str, ...],
) -> None:
    """List frames, a line each.

    Number, time of day (UTC), source, destination, protocol, VNI, length, and what the transport header says. Addresses
    and ports are those of the innermost IP layer. Sequence numbers are raw. A frame that could not be read to its end
    says where: [truncated at tcp].
    """
    from spanline.cli.field_options import fields_named, line_style
    from spanline.cli.reading import conclude, follow, open_capture
    from spanline.cli.show import first_batches, show_packets

    if shape is None and (names or styles):
        raise UsageError("-e and -E say how -T prints", hint="add -T fields")
    if shape is not None and not names:
        raise UsageError("-T fields prints the fields of -e", hint="add -e ip.src")
    fields, style = fields_named(names), line_style(styles)
    # Whoever asks for the first few wants to hear of nothing behind them.
    capture = open_capture(replace(inputs, threads=1) if count else inputs)
    # A progress bar between lines would only be in their way.
    quiet = inputs.quiet or output.path is None
    if shape == "fields":
        from spanline.cli.field_view import show_fields

        show_fields(first_batches(follow(capture, quiet=quiet), count or None), fields, style, output)
    else:
        show_packets(capture, follow(capture, quiet=quiet), count or None, output)
    conclude(capture.problems)
