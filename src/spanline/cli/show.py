"""Results to where the user wants them: tables to the terminal, other formats through output.py."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

import click

from spanline.cli.group import complain
from spanline.cli.options import Output
from spanline.cli.text import plural, rfc3339
from spanline.output import open_output, open_stream, write_objects

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from spanline.batch import Batch
    from spanline.cli.informing import Described
    from spanline.cli.screen import Target
    from spanline.errors import Problem
    from spanline.pipeline import Capture


@contextlib.contextmanager
def page(output: Output) -> Iterator[Console]:
    """What tables are drawn on: the terminal, or a text file."""
    from spanline.cli.screen import console

    with _text(output) as file:
        yield console(file)


@contextlib.contextmanager
def lines_page(output: Output) -> Iterator[Target]:
    """The same for what is nothing but lines: rich is loaded on a terminal only."""
    from spanline.cli.screen import lines_target

    with _text(output) as file:
        yield lines_target(file)


@contextlib.contextmanager
def _text(output: Output) -> Iterator[IO[str] | None]:
    """The file that is written; None for standard output."""
    if output.path is None:
        yield None
        return
    with open_stream(output.path, private=output.private) as stream:
        text = io.TextIOWrapper(stream, "utf-8", write_through=True)  # type: ignore[type-var]
        yield text
        text.detach()


def write(table: pa.Table, output: Output) -> None:
    """One Table in a format that is not a picture."""
    with open_output(output.path, output.format, private=output.private) as writer:
        writer.write(table)


def write_lines(lines: Iterable[str], output: Output) -> None:
    """Text."""
    from spanline.cli.screen import Line, draw_lines

    with lines_page(output) as target:
        draw_lines(target, map(Line, lines))


def show_flows(flows: pa.Table, total: int, output: Output) -> None:
    """`flows` of `total` that there were."""
    from spanline.cli.flow_view import print_flows
    from spanline.community import with_community_id

    if output.format == "table":
        with lines_page(output) as target:
            print_flows(flows, total, target)
    else:
        write(with_community_id(flows), output)


def show_findings(findings: pa.Table, limit: int, output: Output) -> None:
    """The first `limit` of `findings`; all for 0."""
    here = findings.slice(0, limit or None)
    if output.format != "table":
        write(here, output)
        return
    from spanline.cli.plaintext_view import print_findings

    with lines_page(output) as target:
        print_findings(here, findings.num_rows, target)


@contextlib.contextmanager
def arriving_findings(limit: int, output: Output) -> Iterator[Callable[[pa.Table], None]]:
    """What shows findings as they come, the first `limit` of them; all for 0."""
    if output.format == "table":
        from spanline.cli.plaintext_view import ArrivingFindings

        with page(output) as target:
            arriving = ArrivingFindings(target, limit or None)
            yield arriving.show
            arriving.conclude()
        return
    from spanline.arrow import arrow_schema
    from spanline.schema import FINDING

    left = limit or None
    with open_output(output.path, output.format, private=output.private) as writer:
        writer.write(arrow_schema(FINDING).empty_table())

        def write(findings: pa.Table) -> None:
            nonlocal left
            here = findings.slice(0, left)
            left = None if left is None else left - here.num_rows
            writer.write(here)

        yield write


def show_round_trips(times: pa.Table, metric: str, limit: int | None, output: Output) -> None:
    """The first `limit` of `times`."""
    from spanline.cli.round_trip_view import print_round_trips

    if output.format == "table":
        with page(output) as target:
            print_round_trips(times, metric, limit, target)
    else:
        write(times.slice(0, limit), output)


def show_conversation(
    number: int, flow: pa.Table, frames: pa.Table, limit: int | None, left_out: int, output: Output
) -> None:
    """The first `limit` of the `frames` of a handshake, of which `left_out` are not there, and their `flow`."""
    here = frames.slice(0, limit)
    if output.format == "table":
        from spanline.cli.follow_view import plain_row, print_conversation

        with page(output) as target:
            print_conversation(number, plain_row(flow), here, frames.num_rows - here.num_rows + left_out, target)
    elif output.format == "json":
        from spanline.arrow import textual
        from spanline.community import with_community_id

        facts = textual(with_community_id(flow)).to_pylist()[0]
        with open_stream(output.path) as stream:
            write_objects([{"tcp_stream": number, **facts, "frames": textual(here).to_pylist()}], stream)
    else:
        write(here, output)


def show_packets(capture: Capture, batches: Iterator[Batch], count: int | None, output: Output) -> None:
    """The frames of `batches`, the first `count` of them, each batch as soon as it is there."""
    from spanline.arrow import arrow_schema
    from spanline.stages.packet_list import PACKET_LIST, packets_table

    wanted = first_batches(batches, count)
    if output.format != "table":
        with open_output(output.path, output.format) as writer:
            # A capture without frames makes a file with all columns.
            writer.write(arrow_schema(PACKET_LIST).empty_table())
            for batch, here in wanted:
                writer.write(packets_table(batch, here))
        return
    from spanline.cli.packet_view import Lines

    lines: Lines | None = None
    with open_stream(output.path) as stream:
        for batch, here in wanted:
            if lines is None:
                lines = Lines(9 if capture.interfaces and capture.interfaces[0].resolution < 1e-6 else 6)
            stream.write("".join(f"{line}\n" for line in lines.of(batch, here)).encode())
            stream.flush()  # of a pipe, the next frames may be a long time coming


def write_packets(capture: Capture, batches: Iterator[Batch], count: int | None, target: str) -> None:
    """The frames of `batches`, the first `count` of them, as a capture file."""
    from spanline.writing import open_capture_output

    if target == "-" and sys.stdout.isatty():
        raise click.UsageError("a capture is not for terminals; write it to a file with -w out.pcapng")
    with open_capture_output(target, capture) as writer:
        for batch, here in first_batches(batches, count):
            writer.write(batch, here)
    if writer.left_out:
        complain(f"{plural(writer.left_out, 'frame')} of interfaces that are never declared cannot be written")


def first_batches(batches: Iterator[Batch], count: int | None) -> Generator[tuple[Batch, int]]:
    """Batches, each with how many of its frames are wanted, until `count` are reached."""
    left = count
    for batch in batches:
        here = len(batch) if left is None else min(left, len(batch))
        yield batch, here
        if left is not None:
            left -= here
            if not left:
                return


def show_descriptions(described: Iterator[Described], output: Output) -> list[Problem]:
    """Each file as soon as it was read, and the total of several. Returns what was wrong with them."""
    problems: list[Problem] = []
    if output.format == "json":
        with open_stream(output.path) as stream:
            write_objects((_plain(one.facts) for one in _noting(described, problems) if one.facts), stream)
        return problems
    if output.format != "table":
        from spanline.stages.summary import files_table

        table = files_table(one.facts for one in _noting(described, problems) if one.facts)
        with open_output(output.path, output.format) as writer:
            writer.write(table)
        return problems
    from spanline.cli.info_view import print_file, print_total
    from spanline.pipeline import Counters
    from spanline.stages.summary import Summary

    total, counters, files = Summary(), Counters(), 0
    with page(output) as target:
        for one in _noting(described, problems):
            if one.facts and one.summary:
                print_file(one.facts, target)
                total.merge(one.summary)
                counters.read += one.facts["packets"]
                counters.undecodable += one.facts["undecodable"]
                files += 1
        if files > 1:
            print_total(total, counters, files, target)
    return problems


def _noting(described: Iterator[Described], problems: list[Problem]) -> Iterator[Described]:
    for one in described:
        problems += one.problems
        yield one


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """`facts` with times as text."""
    times = {name: None if facts[name] is None else rfc3339(facts[name]) for name in ("first_packet", "last_packet")}
    return facts | times
