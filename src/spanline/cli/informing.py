"""Capture files described one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spanline.cli.options import Inputs
from spanline.cli.reading import account_for, open_capture, watch
from spanline.errors import CaptureError, Problem
from spanline.sources.live import PREFIXES
from spanline.sources.paths import expand
from spanline.stages.summary import Summary, describe


@dataclass(frozen=True, slots=True)
class Described:
    """A file, or a live capture; `facts` (stages.summary.describe) and `summary` are None when it is not a capture."""

    facts: dict[str, Any] | None
    summary: Summary | None
    problems: list[Problem]


def describe_all(inputs: Inputs) -> Iterator[Described]:
    """All files that the user named. Raises CaptureError when there is no capture among them."""
    found = False
    # What comes to several interfaces comes at the same time.
    live = all(path.startswith(PREFIXES) for path in inputs.paths)
    named = [(inputs.paths, False)] if live else [((path,), listed) for path, listed in expand(inputs.paths)]
    for paths, listed in named:
        capture = open_capture(inputs, paths)
        summary = Summary()
        try:
            for _ in watch(capture, summary, quiet=inputs.quiet):
                pass
        except CaptureError:
            # A folder may hold other things than captures.
            if not (listed and all(problem.kind == "not-a-capture" for problem in capture.problems)):
                found = True
                yield Described(None, None, capture.problems)
            continue
        found = True
        facts = describe(capture.files[0], summary, capture.interfaces, capture.counters, capture.problems)
        account_for(capture, inputs)
        yield Described(facts, summary, capture.problems)
    if not found:
        raise CaptureError(f"{', '.join(inputs.paths)}: no captures in this folder", hint="pcap and pcapng are read")
