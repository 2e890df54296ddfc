"""`spanline stats`"""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from spanline.cli.group import UNWANTED
from spanline.cli.options import Inputs, Output, reads_captures, size_in_bytes, stage_memory, writes
from spanline.cli.stats_view import ViewOptions, views_named
from spanline.errors import UsageError

# An option, the name of its value, and the views that it is for.
_ABOUT = (
    ("--policy", "policy", ("hierarchy",)),
    ("--type", "types", ("conversations", "endpoints")),
    ("--interval", "interval", ("io",)),
)
TYPES = ("eth", "ip", "ipv6", "tcp", "udp", "sctp")


def _views(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    return views_named(text)


def _types(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    names = [] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in TYPES:
            raise UsageError(f"--type {text!r}: {name!r} is no type", hint=f"types are {', '.join(TYPES)}")
    return tuple(name for name in TYPES if name in names)


def _require_views(views: tuple[str, ...]) -> None:
    """Raises UsageError for an option that has nothing to say of any of the views."""
    for option, name, about in _ABOUT:
        is_given = click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT
        if is_given and not set(about) & set(views):
            raise UsageError(f"{option} is for {' and '.join(about)}", hint="name this view too, or leave it out")


def _interval(text: str) -> int:
    """ns, a whole number of µs, which is as fine as tshark has it."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1e-6 <= seconds < 1e9:
        raise click.BadParameter(f"{text!r} is not a number of seconds of at least 0.000001")
    return round(seconds * 1e6) * 1000


@click.command("stats")
@click.argument("views", metavar="VIEW[,VIEW...]", callback=_views)
@click.option(
    "--type", "types", metavar="TYPE[,TYPE...]", callback=_types,
    help=f"Conversations and endpoints of these only: {', '.join(TYPES)}. Default: those that there are.",
)  # fmt: skip
@click.option(
    "--interval", type=_interval, default="1", show_default=True, metavar="SECONDS", help="How long each row of io is."
)
@click.option("--as-tshark", is_flag=True, help="Print each view as tshark -q -z prints it.")
@click.option(
    "--policy",
    type=click.Path(),
    metavar="FILE",
    help="Mark protocols of the hierarchy that FILE calls unwanted; with one of them the exit code is 1.",
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(0),
    metavar="N",
    help="This many rows of each table; 0 is all. Default: 20 in a table, else all.",
)
@click.option(
    "--memory", type=size_in_bytes, default="1G", show_default=True, metavar="SIZE",
    help="What spanline may take, 200M or more; what has no room beyond is counted together.",
)  # fmt: skip
@writes("table", "json", "csv", "parquet")
@reads_captures
def command(
    inputs: Inputs, output: Output, views: tuple[str, ...], limit: int | None, memory: int,
    as_tshark: bool, **others: Any,
) -> None:  # fmt: skip
    """Count what is in captures, in one or several views.

    They are those of Wireshark's Statistics menu, and how far frames could be read:

    \b
      hierarchy      which protocols are inside which     tshark -z io,phs
      destinations   where packets go, by port            tshark -z dests,tree
      hosts          addresses of packets                 tshark -z ip_hosts,tree
      conversations  who exchanged frames with whom       tshark -z conv,TYPE
      endpoints      addresses, what each sent and got    tshark -z endpoints,TYPE
      io             frames and bytes by interval         tshark -z io,stat,SECONDS
      verdicts       frames that could not be read to their end, and why
      all            all of them, in one pass

    Bytes are those of whole frames. A frame with tunnels counts for each layer of a type. JSON of several views is an
    object with an array for each; CSV and Parquet have one view a file: -o FOLDER/ writes several, named after them.
    """
    from spanline.cli.reading import account_for, conclude, follow, open_capture
    from spanline.cli.stats_show import check_output, remark, show_views
    from spanline.cli.stats_view import make_views
    from spanline.transforms.annotate import Annotate

    _require_views(views)
    check_output(views, output, as_tshark)
    if limit is None and output.format == "table" and not as_tshark:
        limit = 20
    options = ViewOptions(limit=limit or None, memory=stage_memory(memory), as_tshark=as_tshark, **others)
    made, stages = make_views(views, options)
    transforms = []
    if stages.requires:
        annotate = Annotate(applications=False, memory=max(options.memory // 4, 1 << 24))
        annotate.require(stages.requires)
        transforms = [annotate]
    capture = open_capture(inputs)
    for _ in follow(capture, *stages, transforms=transforms, quiet=inputs.quiet):
        pass
    show_views(made, output, as_tshark)
    remark(made)
    account_for(capture, inputs)
    conclude(capture.problems)
    if any(view.objection for view in made):
        click.get_current_context().exit(UNWANTED)
