"""Queries that are kept: what `spanline query` says of them."""

from __future__ import annotations

from collections.abc import Mapping

from spanline.cli.group import complain
from spanline.cli.options import Output
from spanline.cli.screen import aligned, column_widths
from spanline.cli.show import write, write_lines
from spanline.cli.text import printable
from spanline.query import saved
from spanline.query.errors import QueryError
from spanline.query.parameters import MARK


def save(name: str, text: str) -> None:
    complain(f"{MARK}{name.removeprefix(MARK).lower()} is kept in {saved.save(name, text)}")


def delete(name: str) -> None:
    path = saved.delete(name.removeprefix(MARK))
    complain(f"{MARK}{name.removeprefix(MARK).lower()} is kept no longer in {path}")


def show(output: Output) -> None:
    """All that are kept."""
    queries = saved.saved_queries()
    if output.format == "table":
        write_lines(saved_lines(queries), output)
        return
    import pyarrow as pa

    names = pa.list_(pa.string())
    columns = {
        "name": pa.array(list(queries), pa.string()),
        "parameters": pa.array([_parameters(text) for text in queries.values()], names),
        "query": pa.array(list(queries.values()), pa.string()),
    }
    write(pa.table(columns), output)


def saved_lines(queries: Mapping[str, str]) -> list[str]:
    """A line for each: its name, what it needs to be told, and its text."""
    if not queries:
        return ["no query is kept: spanline query --save NAME QUERY keeps one"]
    rows = [
        (f"{MARK}{name}", " ".join(f"{one}=…" for one in _parameters(text)), printable(text))
        for name, text in queries.items()
    ]
    return [aligned(row, column_widths(rows), (False, False, False), 2).rstrip() for row in rows]


def _parameters(text: str) -> list[str]:
    """What somebody wrote into the file may be no query."""
    try:
        return saved.parameter_names(text)
    except QueryError:
        return []
