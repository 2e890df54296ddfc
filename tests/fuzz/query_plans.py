"""Right queries on their way further: to SQL, and some to an answer of a small store.

What must hold: there is a plan and its SQL, or a line that says why there is none. When it is run, each piece of the
SQL is one SELECT, as DuckDB's parser has it, and the answer has the columns of its plan, leaves nothing out, and is no
longer than the query lets it.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import history
from sqlglot import exp

from spanline.enrich import Enrichment, read_inventory
from spanline.errors import UsageError
from spanline.query.answer import held_by, query
from spanline.query.planning import plan_of
from spanline.query.running import DIALECT, shown
from spanline.query.spans import span_of
from spanline.query.steps import Gather, LookUp, Make, Plan
from spanline.query.tree import Query
from spanline.store import Store

NOW = history.END - 12 * history.HOUR
"""Within the two weeks that the store holds."""
FLOWS = 1000
SECONDS = 60.0
"""That no answer takes; on a machine that does something else besides, too."""


class Asked:
    """A store of two weeks with its inventory and counters, written into `folder`. It does not change: what it holds is
    read once."""

    def __init__(self, folder: Path) -> None:
        place = folder / "store"
        history.write(place, FLOWS)
        self._store = Store(place)
        self._held = held_by(self._store)
        self._enrichment = Enrichment(read_inventory([str(place.with_suffix(".yaml"))]))
        self._parser = duckdb.connect(":memory:")

    def plan(self, tree: Query) -> tuple[Plan, list[str]] | None:
        """The plan and its SQL; None: it cannot be answered, and that is told."""
        try:
            plan = plan_of(tree, self._enrichment, lambda one: span_of(one.window, self._held, NOW))
        except UsageError as error:
            if not error.message:
                raise
            return None
        selects = [step.of for step in plan.steps if isinstance(step, Make | Gather)]
        selects += [step.keys for step in plan.steps if isinstance(step, LookUp) and isinstance(step.keys, exp.Select)]
        selects += [*plan.series.values(), shown(plan)]
        return plan, [select.sql(DIALECT) for select in selects]

    def answer(self, tree: Query, plan: Plan, statements: list[str]) -> None:
        """Raises where something does not hold, also where the engine gives up."""
        for text in statements:
            kinds = [one.type for one in self._parser.extract_statements(text)]
            assert kinds == [duckdb.StatementType.SELECT], "it is not one SELECT"
        table = query(tree, self._store, now=NOW, enrichment=self._enrichment, threads=1, seconds=SECONDS)
        assert table.column_names == [column.name for column in plan.columns], "the columns are others"
        assert table.schema.metadata[b"left_out"] == b"[]", "something is left out"
        for most in (tree.top, tree.limit):
            assert most is None or table.num_rows <= most, "there are too many rows"
