"""`spanline packets`"""

from __future__ import annotations

from dataclasses import replace

import click

from spanline.cli.options import Inputs, Output, WrittenPath, reads_captures, writes
from spanline.errors import UsageError

# What is found out about frames of which all is shown.
_ANALYSES = ("streams", "analysis")


@click.command("packets")
@click.option("-n", "--count", type=click.IntRange(0), metavar="N", help="Stop after this many frames; 0 is all.")
@click.option("-V", "trees", is_flag=True, help="Print each frame as a tree: where each field stands, and its value.")
@click.option("-T", "shape", type=click.Choice(["fields", "json"]), help="Print fields as tshark does.")
@click.option("-e", "names", multiple=True, metavar="FIELD", help="With -T, a field to print: ip.src. Can be repeated.")
@click.option("-E", "styles", multiple=True, metavar="NAME=VALUE", help="How -T prints, as in tshark: header=y.")
@click.option(
    "-w",
    "--write",
    "target",
    metavar="FILE",
    type=WrittenPath(allow_dash=True),
    help="Write the frames to FILE instead: .pcapng or .pcap, also .zst, .gz or .lz4; - is pcapng to standard output.",
)
@writes("table", "json", "csv", "parquet")
@reads_captures
def command(
    inputs: Inputs,
    output: Output,
    count: int | None,
    trees: bool,
    shape: str | None,
    names: tuple[str, ...],
    styles: tuple[str, ...],
    target: str | None,
) -> None:
    """List frames, a line each.

    Number, time of day (UTC), source, destination, protocol, VNI, length, and what the transport header says. Addresses
    and ports are those of the innermost IP layer. Sequence numbers are raw. A frame that could not be read to its end
    says where: [truncated at tcp].

    -T fields -e ip.src -e tcp.dstport prints display-filter fields as tshark does, -T json objects of tshark's shape.
    """
    from spanline.cli.field_options import fields_named, line_style
    from spanline.cli.reading import account_for, conclude, follow, open_capture
    from spanline.cli.show import first_batches, show_packets, write_packets

    _require_one_shape(output, trees, shape, names, styles)
    _require_one_target(output, trees, shape, target)
    fields, style = fields_named(names), line_style(styles)
    # Whoever asks for the first few wants to hear of nothing behind them.
    all_shown = trees or (shape == "json" and not names)
    requires = frozenset(_ANALYSES if all_shown else ()).union(*(field.requires for field in fields))
    capture = open_capture(replace(inputs, threads=1) if count else inputs, requires=requires)
    if target is not None:
        write_packets(capture, follow(capture, quiet=inputs.quiet), count or None, target)
        account_for(capture, inputs)
        conclude(capture.problems)
        return
    # A progress bar between lines would only be in their way.
    quiet = inputs.quiet or output.path is None
    if shape is None and not trees:
        show_packets(capture, follow(capture, quiet=quiet), count or None, output)
        account_for(capture, inputs)
        conclude(capture.problems)
        return
    from spanline.cli.field_view import show_fields, show_objects, show_trees

    wanted = first_batches(follow(capture, quiet=quiet), count or None)
    if trees:
        show_trees(wanted, output)
    elif shape == "fields":
        show_fields(wanted, fields, style, output)
    else:
        show_objects(wanted, fields, style.occurrence, output)
    wanted.close()
    account_for(capture, inputs)
    conclude(capture.problems)


def _require_one_shape(
    output: Output, trees: bool, shape: str | None, names: tuple[str, ...], styles: tuple[str, ...]
) -> None:
    """Raises UsageError when what is asked for does not go together."""
    if shape is None and (names or styles):
        raise UsageError("-e and -E say what -T prints", hint="add -T fields")
    if shape == "fields" and not names:
        raise UsageError("-T fields prints the fields of -e", hint="add -e ip.src")
    if trees and shape is not None:
        raise UsageError("-V and -T are two ways to print frames", hint="leave one out")
    if (trees or shape) and output.format != "table":
        ways = f"{'-V' if trees else '-T'} and {output.format}"
        raise UsageError(f"{ways} are two ways to print frames", hint="leave one out")


def _require_one_target(output: Output, trees: bool, shape: str | None, target: str | None) -> None:
    """Raises click.UsageError when frames are to be written, and also to be told of."""
    if target is not None and (output != Output(None, "table") or trees or shape):
        raise click.UsageError("-w writes frames, and -o, --format, -T and -V what is said of them: choose one")
