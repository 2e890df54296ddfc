"""Options that `spanline query` and `spanline report` share: what is asked, and how queries are meant."""

from __future__ import annotations

import click

from spanline.cli.options import Decorated

_OPTIONS = (
    click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(allow_dash=True)),
    click.option("--store", metavar="DIR", type=click.Path(), help="Ask the store DIR, which crunch or capture wrote."),
    click.option(
        "--on",
        metavar="PATH",
        multiple=True,
        type=click.Path(allow_dash=True),
        help="Ask captures: PATH, and those behind it. They are crunched into a temporary store.",
    ),
    click.option(
        "--from",
        "begin",
        metavar="TIME",
        help="'2026-01-31 12:34', today, yesterday, '3 days ago': where a query says nothing of time. 3 days ago is "
        "counted from now, also where a store is older.",
    ),
    click.option("--to", "end", metavar="TIME", help="In the same way; a day is in it as a whole."),
    click.option(
        "--at-hours",
        "hours",
        metavar="HOURS",
        help="Only what was in these hours of each day: 21:00-06:30. A flow that is partly in them counts in part.",
    ),
    click.option(
        "--timezone", metavar="ZONE", help="Of times in queries and answers: Europe/Zurich. Default: this machine's."
    ),
    click.option(
        "--inventory",
        multiple=True,
        metavar="FILE",
        type=click.Path(),
        help="YAML or CSV that tells of VMs and networks. Can be repeated.",
    ),
    click.option(
        "--geoip", metavar="FILE", type=click.Path(), help="MMDB with countries, instead of those that come along."
    ),
    click.option("--asn", metavar="FILE", type=click.Path(), help="MMDB with autonomous systems."),
)


def asks(function: Decorated) -> Decorated:
    """Gives the command `paths`, `store`, `on`, `begin`, `end`, `hours`, `timezone`, `inventory`, `geoip` and
    `asn`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
