"""The flow query language: text → tree → SQL → Table.

spanline.query(text, store) answers a query: the package can be called as answer.query() is, so that its name is that of
what it is for.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Query(ModuleType):
    """Calls answer.query(); nothing of it is imported before."""

    def __call__(self, text: Any, store: Any, **options: Any) -> Any:
        from spanline.query.answer import query

        return query(text, store, **options)


sys.modules[__name__].__class__ = _Query
