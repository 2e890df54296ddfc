"""Queries about what the inventory has, with the traffic of each, as steps of SQL."""

from __future__ import annotations

from collections.abc import Callable

from spanline.query.records import Setting
from spanline.query.tree import Query


def plan_things(query: Query, setting: Setting, plan: Callable[[Query, Setting], None]) -> None:
    raise NotImplementedError
