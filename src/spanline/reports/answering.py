"""The queries of a report, answered one after the other; one that cannot be answered says why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import TypeAlias

import pyarrow as pa

from spanline.enrich import Enrichment
from spanline.errors import UsageError
from spanline.query.answer import query
from spanline.query.parameters import MARK
from spanline.query.reading import parse
from spanline.query.saved import Call, called
from spanline.query.tree import Hours, Query, Window
from spanline.reports.reading import Question
from spanline.store import Store


@dataclass(frozen=True, slots=True)
class Terms:
    """What all queries of a report share.

    now     ns since the epoch
    zone    of times in queries, and of those that are shown
    window  of queries that say nothing of time; None: the last 24 hours
    hours   of each day; None: all
    """

    store: Store
    enrichment: Enrichment
    now: int
    zone: tzinfo
    window: Window | None = None
    hours: Hours | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """query  as it was read
    table  of query.answer.query()
    """

    question: Question
    query: Query
    table: pa.Table


@dataclass(frozen=True, slots=True)
class Failed:
    """A query that has no answer."""

    question: Question
    error: UsageError


Answer: TypeAlias = Answered | Failed


def answers(questions: Iterable[Question], terms: Terms) -> Iterator[Answer]:
    """In the order of `questions`, each when it is asked for."""
    for question in questions:
        yield _answer(question, terms)


def _answer(question: Question, terms: Terms) -> Answer:
    try:
        call = called(question.query) if question.query.startswith(MARK) else Call(question.query, {})
        read = parse(call.text, now=terms.now, timezone=terms.zone, parameters=call.values)
        if terms.window is not None and read.window.is_default:
            read = dataclasses.replace(read, window=terms.window)
        if terms.hours is not None:
            read = dataclasses.replace(read, window=dataclasses.replace(read.window, hours=terms.hours))
        table = query(read, terms.store, now=terms.now, enrichment=terms.enrichment)
    except UsageError as error:
        return Failed(question, error)
    return Answered(question, read, table)


def left_out(answers: Iterable[Answer]) -> list[str]:
    """What is wrong with segments that were not read, each of those once, a line each."""
    lines: dict[str, None] = {}
    for one in answers:
        if isinstance(one, Answered):
            lines |= dict.fromkeys(json.loads(one.table.schema.metadata[b"left_out"]))
    return list(lines)
