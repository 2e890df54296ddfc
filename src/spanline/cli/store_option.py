"""The option of commands that add flows to a store."""

from __future__ import annotations

import click

from spanline.cli.options import Decorated, WrittenPath


def stores_flows(function: Decorated) -> Decorated:
    """Gives the command `store`: the folder of a store, with a slash at its end, or None."""
    return click.option(
        "--store",
        metavar="DIR",
        type=WrittenPath(file_okay=False),
        callback=lambda _, __, value: None if value is None else f"{value.rstrip('/') or '/'}/",
        help="Add the flows to the store DIR, which is made if there is none; spanline query asks it.",
    )(function)
