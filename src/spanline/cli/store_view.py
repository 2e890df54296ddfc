"""What is in a store, and what was done to it, on a terminal and in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from spanline.cli.options import Output
from spanline.cli.screen import Line, aligned, column_widths, draw_lines
from spanline.cli.show import page
from spanline.cli.text import plural, rfc3339, size
from spanline.errors import Problem
from spanline.output import open_stream, write_objects
from spanline.store import Store
from spanline.store.compaction import Compacted
from spanline.store.manifest import Segment
from spanline.store.repair import Repaired


def show_info(store: Store, output: Output) -> None:
    state = store.state()
    segments = sorted(state.segments.values(), key=lambda one: one.name)
    facts = {
        "store": str(store.path),
        "id": store.id,
        "kind": "live" if store.is_live else "archive",
        **_sums(segments),
        "captures": sorted(name for run in state.runs.values() if run.is_complete for _, name in run.captures),
        "days": [{"day": day, **_sums(list(of))} for day, of in groupby(segments, lambda one: one.name[:10])],
    }
    if output.format == "json":
        _write([facts], output)
        return
    octets = f"{size(facts['bytes'])}, {facts['bytes'] / facts['records']:.1f} B a record" if segments else "0 B"
    rows = [
        ("Store", f"{store.path} ({facts['kind']})"),
        ("Records", f"{facts['records']:,} in {plural(facts['segments'], 'segment')}"),
        ("Size", octets),
        ("Seen", _span(facts["first_seen"], facts["last_seen"])),
        ("Arrived", _span(facts["first_arrived"], facts["last_arrived"])),
        ("Captures", f"{len(facts['captures']):,}"),
    ]
    lines = [[f"{name}:", text] for name, text in rows]
    widths = column_widths(lines)
    made = [Line(aligned(line, widths, (False, False), 2)) for line in lines]
    with page(output) as target:
        draw_lines(target, [*made, *_days(facts["days"])])


def _sums(segments: Sequence[Segment]) -> dict[str, Any]:
    """Of segments together; times as text, None of none."""
    times = {
        "first_seen": min((one.begin for one in segments), default=None),
        "last_seen": max((one.end for one in segments), default=None),
        "first_arrived": min((one.arrived for one in segments), default=None),
        "last_arrived": max((one.arrived for one in segments), default=None),
    }
    return {
        "segments": len(segments),
        "records": sum(one.rows for one in segments),
        "bytes": sum(one.size for one in segments),
        **{name: None if time is None else rfc3339(time) for name, time in times.items()},
    }


def _span(first: str | None, last: str | None) -> str:
    return "nothing" if first is None or last is None else f"{_short(first)} to {_short(last)} UTC"


def _short(time: str) -> str:
    """To the second."""
    return time[:19].replace("T", " ")


def _days(days: Sequence[Mapping[str, Any]]) -> list[Line]:
    if not days:
        return []
    rows = [["Day", "Segments", "Records", "Size", "Arrived"]]
    for day in days:
        counts = [f"{day['segments']:,}", f"{day['records']:,}", size(day["bytes"])]
        rows.append([day["day"], *counts, _short(day["last_arrived"])])
    widths, right = column_widths(rows), (False, True, True, True, False)
    heading, *rest = (aligned(row, widths, right, 2) for row in rows)
    return [Line(""), Line(heading, "bold"), *map(Line, rest)]


def show_verified(store: Store, problems: Sequence[Problem], output: Output) -> None:
    """Those that there are, a line each, follow elsewhere."""
    segments = store.state().segments.values()
    if output.format == "json":
        facts = {"store": str(store.path), "segments": len(segments), "problems": list(map(_problem, problems))}
        _write([facts], output)
    elif not problems:
        records, octets = sum(one.rows for one in segments), sum(one.size for one in segments)
        _say(output, f"all well: {plural(len(segments), 'segment')}, {plural(records, 'record')}, {size(octets)}")


def show_repaired(folder: str, repaired: Repaired, output: Output) -> None:
    if output.format == "json":
        found = [one.name for one in repaired.found]
        aside = [_problem(one) for one in repaired.set_aside]
        lost = {"records_lost": repaired.rows, "crunch_again": list(repaired.again)}
        _write([{"store": folder, "found": found, "set_aside": aside, **lost}], output)
        return
    lines = [f"{one.path}: {one.what}: set aside" for one in repaired.set_aside]
    lines += [f"{one.name}: found, {plural(one.rows, 'record')}" for one in repaired.found]
    if repaired.rows:
        lines.append(f"{plural(repaired.rows, 'record')} less than before")
    if repaired.again:
        lines.append(f"crunched again, these have all of theirs back: {', '.join(repaired.again)}")
    _say(output, *(lines or ["nothing to repair"]))


def show_compacted(compacted: Compacted, output: Output) -> None:
    before, after = compacted.before, compacted.after
    if output.format == "json":
        _write([{"before": before, "after": after, "problems": list(map(_problem, compacted.problems))}], output)
    else:
        _say(output, f"{plural(before, 'segment')} became {after:,}" if before else "nothing to compact")


def show_expired(gone: Sequence[Segment], output: Output) -> None:
    if output.format == "json":
        _write([{"removed": [one.name for one in gone], **_sums(gone)}], output)
    elif not gone:
        _say(output, "nothing is that old")
    else:
        records, octets = sum(one.rows for one in gone), sum(one.size for one in gone)
        _say(output, f"removed {plural(len(gone), 'segment')}: {plural(records, 'record')}, {size(octets)}")


def _problem(problem: Problem) -> dict[str, str]:
    return {"path": problem.path, "kind": problem.kind, "what": problem.what}


def _write(objects: Iterable[Mapping[str, Any]], output: Output) -> None:
    with open_stream(output.path) as stream:
        write_objects(objects, stream)


def _say(output: Output, *lines: str) -> None:
    with page(output) as target:
        draw_lines(target, map(Line, lines))
