"""The queries of a report, answered one after the other; one that cannot be answered says why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import tzinfo

import pyarrow as pa

from spanline.enrich import Enrichment
from spanline.errors import UsageError
from spanline.query.answer import query
from spanline.query.reading import parse
from spanline.query.tree import Query, Window
from spanline.reports.reading import Question
from spanline.store import Store


@dataclass(frozen=True, slots=True)
class Asking:
    """What all queries of a report share.

    now     ns since the epoch
    zone    of times in queries, and of those that are shown
    window  of queries that say nothing of time; None: the last 24 hours
    """

    store: Store
    enrichment: Enrichment
    now: int
    zone: tzinfo
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The Table (query.answer.query()) and the query as it was read, or why there is none."""

    question: Question
    query: Query | None = None
    table: pa.Table | None = None
    error: UsageError | None = None

    @property
    def left_out(self) -> list[str]:
        """What is wrong with segments that were not read, a line each."""
        return [] if self.table is None else json.loads(self.table.schema.metadata[b"left_out"])


def answers(questions: Iterable[Question], asking: Asking) -> Iterator[Answer]:
    """In the order of `questions`, each when it is asked for."""
    for question in questions:
        try:
            yield _answer(question, asking)
        except UsageError as error:
            yield Answer(question, error=error)


def _answer(question: Question, asking: Asking) -> Answer:
    read = parse(question.query, now=asking.now, timezone=asking.zone)
    if asking.window is not None and read.window.is_default:
        read = dataclasses.replace(read, window=asking.window)
    table = query(read, asking.store, now=asking.now, enrichment=asking.enrichment)
    return Answer(question, read, table)


def left_out(answered: Iterable[Answer]) -> list[str]:
    """Of all of them, each line once."""
    return list(dict.fromkeys(line for one in answered for line in one.left_out))
