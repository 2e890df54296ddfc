"""Writes docs/parity.md: how far our views are tshark's, over all shared captures. `python -m tests.parity`"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import spanline
from tests import tshark
from tests.conftest import REPOSITORY, shared_folder
from tests.hierarchy import EXCEPTED as HIERARCHY_EXCEPTED
from tests.hierarchy import EXCEPTED_APPLICATIONS, LISTED, Comparison, compare, covered
from tests.statistics_trees import EXCEPTED as TREES_EXCEPTED
from tests.statistics_trees import VIEWS, oracle_text, our_texts
from tests.test_stats_against_tshark import OTHER_LINES, lines_of, read


def share(equal: int, lines: int) -> str:
    return f"{lines:,} | {equal:,} | {100 * equal / lines:.2f} %" if lines else "0 | 0 | "


def ends(captures: Path, oracle: Path) -> dict[str, tuple[int, int, int]]:
    """Captures, lines and equal lines of conversations and endpoints, by type."""
    totals: dict[str, tuple[int, int, int]] = {}
    for capture in tshark.manifest(captures):
        if not covered(oracle, capture):
            continue
        try:
            conversations = read(captures / capture)
        except spanline.CaptureError:
            continue
        for title, theirs in tshark.statistics(oracle, capture).items():
            equal = sum(a == b for a, b in zip(theirs, lines_of(conversations, title), strict=False))
            seen, lines, same = totals.get(title, (0, 0, 0))
            totals[title] = seen + 1, lines + len(theirs), same + equal
    return totals


def trees(captures: Path, oracle: Path) -> dict[str, tuple[int, int, int]]:
    """Captures, lines and equal lines by view."""
    totals = dict.fromkeys(VIEWS, (0, 0, 0))
    for capture in tshark.manifest(captures):
        frames = covered(oracle, capture)
        if not frames:
            continue
        try:
            ours, own_frames = our_texts(captures / capture)
        except spanline.CaptureError:
            continue
        for view in VIEWS if own_frames == frames else ():
            theirs = oracle_text(oracle, capture, view)
            if theirs:
                matcher = SequenceMatcher(None, theirs, ours[view], autojunk=False)
                equal = len(theirs) if theirs == ours[view] else sum(b.size for b in matcher.get_matching_blocks())
                seen, lines, same = totals[view]
                totals[view] = seen + 1, lines + len(theirs), same + equal
    return totals


def page(hierarchy: Comparison, totals: dict[str, tuple[int, int, int]]) -> Iterator[str]:
    yield from ("# Parity with tshark 4.0.17", "")
    yield "Made by `python -m tests.parity` from those shared captures of which spanline decodes all encapsulations."
    yield "A line is equal when all its characters are; a line of the hierarchy, when its way, frames and bytes are."
    yield "Lines are tshark's; those that only spanline has are counted apart."
    yield from ("", "| view | captures | lines | equal | share | only spanline's |", "|---|---:|---:|---:|---:|---:|")
    for title, groups in (("through the transport layer", ["transport"]), ("listed application protocols", LISTED)):
        lines, equal, extra = hierarchy.total(groups)
        yield f"| `io,phs`, {title} | {hierarchy.captures:,} | {share(equal, lines)} | {extra} |"
    for view, (seen, lines, equal) in totals.items():
        yield f"| `{view}` | {seen:,} | {share(equal, lines)} | |"
    yield from (
        "",
        "## Application protocols in `io,phs`",
        "",
        "| protocol | lines | equal | share | only spanline's |",
        "|---|---:|---:|---:|---:|",
    )
    for name in sorted(LISTED & hierarchy.lines.keys()):
        yield f"| {name} | {share(hierarchy.equal[name], hierarchy.lines[name])} | {hierarchy.extra[name] or ''} |"
    yield from ("", "## What differs, and why", "", "| capture | view | reason |", "|---|---|---|")
    for view, excepted in (
        ("hierarchy", HIERARCHY_EXCEPTED),
        ("hierarchy, applications", EXCEPTED_APPLICATIONS),
        ("destinations, hosts", TREES_EXCEPTED),
        ("conversations, endpoints", OTHER_LINES),
    ):
        reason = ""
        for capture, told in excepted.items():
            reason = reason if told == "the same" else told.removeprefix("the same: ")
            yield f"| {capture} | {view} | {reason} |"


def main() -> None:
    captures, oracle = shared_folder("captures"), shared_folder("oracle")
    lines = page(compare(captures, oracle), trees(captures, oracle) | ends(captures, oracle))
    (REPOSITORY / "docs/parity.md").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
