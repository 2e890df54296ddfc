"""`spanline store`"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from spanline.cli.options import Output, size_in_bytes, writes

_UNITS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}


def _age(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """ns of 36h, 14d, 8w."""
    match = re.fullmatch(r"\s*(\d{1,5})\s*([hdw])\w*\s*", text.lower()) if text is not None else None
    if text is not None and (match is None or not int(match[1])):
        raise click.BadParameter(f"{text!r} is not an age: write 36h, 14d or 8w")
    return int(match[1]) * _UNITS[match[2]] * 10**9 if match else None


def _bytes(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    return None if text is None else size_in_bytes(text)


def _of_a_store(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the command `folder` and `output`: Output."""
    folder = click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
    return folder(writes("table", "json")(function))


@click.group("store")
def command() -> None:
    """Look after a store of flows: DIR of crunch --store.

    A store is a folder of Parquet files, one or several for each hour, and a manifest of them with their checksums. One
    process writes to it; others read meanwhile.
    """


@command.command("info")
@_of_a_store
def info(folder: str, output: Output) -> None:
    """Tell what is in DIR: flows, time, size, by day."""
    from spanline.cli.store_view import show_info
    from spanline.store import Store

    show_info(Store(folder), output)


@command.command("verify")
@_of_a_store
def verify(folder: str, output: Output) -> None:
    """Read all of DIR: compare the checksums, and decode what they are of."""
    from spanline.cli.reading import conclude
    from spanline.cli.store_view import show_verified
    from spanline.store import Store
    from spanline.store.repair import verify

    store = Store(folder)
    problems = verify(store)
    show_verified(store, problems, output)
    conclude(problems)


@command.command("repair")
@_of_a_store
def repair(folder: str, output: Output) -> None:
    """Make DIR whole: set damaged files aside, find out what a damaged manifest does not say.

    What is damaged goes to DIR/quarantine. A segment says of itself what a manifest has to, so that a lost manifest is
    made again of the segments.
    """
    from spanline.cli.store_view import show_repaired
    from spanline.store.repair import repair
    from spanline.store.store import folder_of

    show_repaired(folder, repair(folder_of(folder)), output)


@command.command("compact")
@_of_a_store
def compact(folder: str, output: Output) -> None:
    """Make one segment of the small ones of each hour.

    crunch does so by itself when there are many. Queries may go on meanwhile.
    """
    from spanline.cli.reading import conclude
    from spanline.cli.store_view import show_compacted
    from spanline.store import Store

    compacted = Store(folder).compact()
    show_compacted(compacted, output)
    conclude(compacted.problems)


@command.command("expire")
@click.option("--age", metavar="AGE", callback=_age, help="Remove what arrived longer ago: 36h, 14d, 8w.")
@click.option("--size", metavar="SIZE", callback=_bytes, help="Remove what arrived first until SIZE is left: 20G.")
@_of_a_store
def expire(folder: str, output: Output, age: int | None, size: int | None) -> None:
    """Remove the oldest flows of DIR, by when they came into the store.

    When their packets were seen does not matter: of a capture of last year that was crunched today, the flows stay.
    """
    from spanline.cli.store_view import show_expired
    from spanline.store import Store

    if age is None and size is None:
        raise click.UsageError("nothing says what is old: --age 14d, --size 20G, or both")
    show_expired(Store(folder).expire(age, size), output)


@command.command("import")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path())
def import_counters(folder: str, paths: tuple[str, ...]) -> None:
    """Add counters of switch ports to DIR, from files of CSV.

    The first line of a FILE names its columns: time (as 2026-01-31T08:00:00Z), switch, port, in_bytes, out_bytes, and
    perhaps in_packets, out_packets, errors and drops. Counters grow; one that fell began again from 0.
    """
    from spanline.cli.text import plural, printable
    from spanline.store import Store, counters

    store = Store(folder)
    for path in paths:
        readings = counters.read_csv(path)
        told = plural(len(readings), "reading") if counters.add(store.path, readings) else "already there: nothing"
        click.echo(f"{printable(path)}: {told} added")
