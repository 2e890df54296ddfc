"""Right queries on their way further: to SQL, and some to an answer of a small store.

What must hold: there is a plan, or a line that says why there is none; each piece of its SQL is one SELECT, as DuckDB's
parser has it; and an answer has the columns of its plan, leaves nothing out, and is no longer than the query lets it.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import history

from spanline.enrich import Enrichment, read_inventory
from spanline.errors import UsageError
from spanline.query.answer import planned, query
from spanline.query.running import DIALECT
from spanline.query.steps import Gather, LookUp, Make, Plan
from spanline.query.tree import Query
from spanline.store import Store

NOW = history.END - 12 * history.HOUR
"""Within the two weeks that the store holds."""
FLOWS = 1000
SECONDS = 60.0
"""That no answer takes; on a machine that does something else besides, too."""


class Asked:
    """A store of two weeks with its inventory and counters, written into `folder`."""

    def __init__(self, folder: Path) -> None:
        place = folder / "store"
        history.write(place, FLOWS)
        self._store = Store(place)
        self._enrichment = Enrichment(read_inventory([str(place.with_suffix(".yaml"))]))
        self._parser = duckdb.connect(":memory:")

    def plan(self, tree: Query) -> Plan | None:
        """None: it cannot be answered, and that is told. Raises where something does not hold."""
        try:
            plan = planned(tree, self._store, self._enrichment, NOW, [])
        except UsageError as error:
            if not error.message:
                raise
            return None
        for step in plan.steps:
            if isinstance(step, Make | Gather | LookUp):
                of = step.keys if isinstance(step, LookUp) else step.of
                kinds = [one.type for one in self._parser.extract_statements(of.sql(DIALECT))]
                assert kinds == [duckdb.StatementType.SELECT], "it is not one SELECT"
        return plan

    def answer(self, tree: Query, plan: Plan) -> None:
        """Raises where something does not hold, also where the engine gives up."""
        table = query(tree, self._store, now=NOW, enrichment=self._enrichment, threads=1, seconds=SECONDS)
        assert table.column_names == [column.name for column in plan.columns], "the columns are others"
        assert table.schema.metadata[b"left_out"] == b"[]", "something is left out"
        for most in (tree.top, tree.limit):
            assert most is None or table.num_rows <= most, "there are too many rows"
