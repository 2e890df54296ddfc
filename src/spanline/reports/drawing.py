"""Charts as SVG inside a page."""

from __future__ import annotations

import re
from datetime import tzinfo
from xml.etree import ElementTree

import pyarrow as pa

from spanline.charts import svg_of
from spanline.errors import UsageError
from spanline.query.tree import Query
from spanline.query_charts import answer_chart

_REFERENCE = re.compile(r"url\(#")


def chart_of(table: pa.Table, query: Query, zone: tzinfo, place: str) -> str:
    """An answer as an <svg> element for HTML; "" where it has nothing to draw. `place` is one word for it in the page.

    needs altair and vl_convert.
    """
    groups = {one.name for one in query.group}
    if query.entity == "flows" and not groups and all(b"step" not in field.metadata for field in table.schema):
        return ""  # the table beside it says more of the same flows
    try:
        chart = answer_chart(table, groups, zone, "")
    except UsageError:
        return ""
    return inline(svg_of(chart), place)


def inline(svg: str, place: str) -> str:
    """A file of SVG as an element of HTML, which knows no namespaces and needs each id once: those get `place`."""
    root = ElementTree.fromstring(svg)
    for one in root.iter():
        one.tag = _plain(one.tag)
        one.attrib = {
            _plain(name): f"{place}-{value}" if name == "id" else _REFERENCE.sub(f"url(#{place}-", value)
            for name, value in one.attrib.items()
        }
    return ElementTree.tostring(root, encoding="unicode")


def _plain(name: str) -> str:
    """Without its namespace."""
    return name.rpartition("}")[2]
