"""`spanline query`"""

from __future__ import annotations

import sys

import click

from spanline.cli.options import Output, WrittenPath, writes
from spanline.cli.query_options import asks


@click.command("query")
@click.argument("text", required=False, metavar="[QUERY]")
@asks
@click.option(
    "--explain", type=click.Choice(("tree", "sql")), help="Show how the query is read, or the SQL that answers it."
)
@click.option(
    "--chart",
    metavar="FILE",
    type=WrittenPath(),
    help="Also draw series as lines, all else as bars, countries on a map too, into FILE: .html, .svg or .png.",
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(0),
    metavar="N",
    help="This many rows; 0 is all. Default: 40 in a table, else all.",
)
@click.option("--save", metavar="NAME", help="Keep the query as @NAME, and ask nothing.")
@click.option("--saved", "shows_saved", is_flag=True, help="Show the queries that are kept.")
@click.option("--delete", metavar="NAME", help="Keep @NAME no longer.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, and nothing of the time that was asked about.")
@writes("table", "json", "csv", "parquet")
def command(
    text: str | None,
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
    explain: str | None,
    chart: str | None,
    limit: int | None,
    save: str | None,
    shows_saved: bool,
    delete: str | None,
    quiet: bool,
    output: Output,
) -> None:
    """Ask a store of flows, or captures, in words.

    \b
        spanline query "flows group by Source Country" --store DIR
        spanline query "flows where port = 23" --on a.pcap b.pcap
        spanline query --store DIR
        spanline query --save logins "flows where port in ($port)"
        spanline query @logins port=22 port=3389 --store DIR

    docs/language.md has the language. On a terminal, without a query, they are asked one by one. Without a time in it
    a query is about the last 24 hours: until now in a store that a live capture writes, else until the newest record.
    stderr tells the time that was asked about.

    In files, addresses are text, times RFC 3339, bytes, bits per second and nanoseconds numbers; a series has a
    number for each of its steps. What is not known is null, and (not set) in a table.
    """
    if save is not None or shows_saved or delete is not None:
        _keep(text, paths, save, shows_saved, delete, quiet, output)
        return
    from spanline.cli.query_asking import Asking, answered, explained, source, values_before
    from spanline.cli.show import write_lines

    if explain is not None and output.format != "table":
        raise click.UsageError(f"--explain shows text, and not {output.format}")
    if chart is not None:
        from spanline.cli.plotting import check_picture

        if explain is not None:
            raise click.UsageError("--explain has no answer that --chart could draw")
        check_picture("--chart", chart, (".html", ".svg", ".png"))
    asking = Asking(begin, end, hours, timezone, inventory, geoip, asn)
    values, paths = values_before(text, paths)
    if text is None:
        if explain is not None or chart is not None or output != Output(None, "table") or not _is_terminal():
            raise click.UsageError(
                "a query is missing; on a terminal, with nothing to be written, queries are asked for"
            )
        with source(store, (*on, *paths) if on else (), paths, quiet) as asked:
            from spanline.cli.query_prompt import ask

            ask(asking, asked, limit, quiet)
        return
    question = asking.question(text, values)
    if explain == "tree":
        from spanline.cli.query_tree import tree_lines

        write_lines(tree_lines(question.query), output)
        return
    with source(store, (*on, *paths) if on else (), paths, quiet) as asked:
        if explain == "sql":
            write_lines(explained(asking, question, asked), output)
        else:
            answered(asking, question, asked, limit, quiet, output, chart)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _keep(
    text: str | None,
    paths: tuple[str, ...],
    save: str | None,
    shows_saved: bool,
    delete: str | None,
    quiet: bool,
    output: Output,
) -> None:
    from spanline.cli import query_saved

    if (save is not None) + shows_saved + (delete is not None) > 1:
        raise click.UsageError("--save, --saved and --delete are three things to do; name one of them")
    if paths or (text is not None and save is None):
        raise click.UsageError(f"{paths[-1] if paths else text}: nothing is asked here")
    if save is None:
        query_saved.show(output) if delete is None else query_saved.delete(delete, quiet)
    elif text is None:
        raise click.UsageError(f"--save {save}: a query is missing")
    else:
        query_saved.save(save, text, quiet)
