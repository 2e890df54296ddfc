"""Queries of chance on their whole way.

Oracle: what tests/fuzz/query_plans.py says must hold of SQL and of answers.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from tests.fuzz import queries
from tests.fuzz.query_plans import Asked


def test_right_queries_have_sql_and_answers(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    planned = answered = 0
    for text in islice(queries.cases(11), 400):
        query = queries.check(text)
        made = None if query is None else asked.plan(query)
        if query is None or made is None:
            continue
        planned += 1
        if planned % 10 == 0:
            asked.answer(query, *made)
            answered += 1
    assert planned > 100
    assert answered > 10
