"""`spanline report`"""

from __future__ import annotations

import click

from spanline.cli.options import WrittenPath
from spanline.cli.query_options import asks


@click.command("report")
@click.argument("name", required=False, metavar="[REPORT]")
@asks
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    type=WrittenPath(allow_dash=True),
    help="Write the page to FILE, which ends in .html; - is standard output.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def command(
    name: str | None,
    paths: tuple[str, ...],
    store: str | None,
    on: tuple[str, ...],
    begin: str | None,
    end: str | None,
    hours: str | None,
    timezone: str | None,
    inventory: tuple[str, ...],
    geoip: str | None,
    asn: str | None,
    target: str | None,
    quiet: bool,
) -> None:
    """Ask many things at once, and write the answers as one page.

    \b
        spanline report                    tells which reports there are
        spanline report security --store DIR -o security.html
        spanline report mine.yaml --on a.pcap b.pcap -o mine.html

    REPORT is one of those, or a YAML file with queries, which may be @NAMEs, and their titles; docs/reports.md has the
    format. The page has a
    table for each query, and a chart where one can be drawn, for which the package needs its extra: spanline[plot]. It
    loads nothing from anywhere, follows the light or dark of its reader, and can be printed.

    A query that cannot be answered stands in the page with what is wrong; then the exit code is 1.
    """
    from spanline.cli.query_asking import source
    from spanline.cli.reporting import Requested, list_reports, place_of, tell, write_report
    from spanline.output import open_stream

    if name is None:
        if target is not None or store is not None or on:
            raise click.UsageError("no report is named; spanline report tells which there are")
        list_reports()
        return
    place = place_of(target)
    requested = Requested(name, begin, end, hours, timezone, inventory, geoip, asn)
    # Whether the page can be written is known before the answers are, which may take minutes.
    with open_stream(place) as stream, source(store, (*on, *paths) if on else (), paths, quiet) as asked:
        made = write_report(requested, asked, stream, quiet)
    tell(requested, made)
