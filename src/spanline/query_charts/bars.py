"""Groups as bars of their first number, each with that number beside it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.cli.query_view import heading_of
from spanline.errors import UsageError
from spanline.query_charts.drawing import COLOURS, Drawing, Groups, Sort, data_of, text_of_number, title_of
from spanline.query_charts.lines import nothing_found
from spanline.query_charts.world import world_map

if TYPE_CHECKING:
    import altair as alt

_WIDTH = 540
_MOST_BARS = 20
_CUT = 2
"""What is no group may be so many times as long as the longest one that is."""


def bars(table: pa.Table, groups: Collection[str], zone: tzinfo, has_tooltips: bool) -> Drawing:
    """A bar for each group; of groups by one country, a map above them.

    What is no group, the sum of others and `(not set)`, does not make the rest short: its bar is cut where it would.
    """
    import altair as alt

    field = next((one for one in table.schema if _is_number(one)), None)
    shown = Groups(table, groups, zone, _MOST_BARS, can_be_added=field is not None and _is_sum(field))
    if field is None or shown.is_one:
        raise UsageError("a picture needs groups or a series", hint="write group by Source Country, or series(…) of")
    if not table.num_rows:
        return nothing_found()
    values = table.column(field.name).cast(pa.float64()).to_numpy()
    drawn = shown.of(values[:, np.newaxis], can_be_added=_is_sum(field))[:, 0]
    chart, is_cut = _bars(field, drawn, shown, zone, has_tooltips)
    notes = [*shown.notes, *["The bar at a » is longer than it is drawn."] * is_cut]
    if len(groups) == 1 and (place := next(iter(groups))).endswith("Country"):
        numbers = dict(zip(table.column(place).to_pylist(), values.tolist(), strict=True))
        world = world_map(numbers, field, zone, has_tooltips)
        if world is not None:
            return Drawing(alt.vconcat(world.chart, chart, spacing=20), [*world.notes, *notes])
    return Drawing(alt.vconcat(chart), notes)


def _bars(
    field: pa.Field, values: npt.NDArray[np.float64], shown: Groups, zone: tzinfo, has_tooltips: bool
) -> tuple[alt.LayerChart | alt.FacetChart, bool]:
    """The bars, and whether one is cut."""
    import altair as alt

    show = text_of_number(field, zone)
    is_own = np.array([sort is Sort.GROUP for sort in shown.sorts])
    known = np.maximum(np.nan_to_num(values), 0)
    longest = known[is_own].max(initial=0)
    if not longest or known.max() <= _CUT * longest:
        longest = known.max()
    rows: list[dict[str, Any]] = []
    for name, sort, value in zip(shown.names, shown.sorts, values.tolist(), strict=True):
        said = "" if value != value else show(value)
        rows.append(
            {
                "g": name,
                "k": sort,
                "v": min(max(value, 0), longest) if said else None,
                "s": said,
                "n": f"» {said}" if said and value > longest else said,
            }
        )
    base = alt.Chart(data_of(rows)).encode(
        y=alt.Y("g:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, ticks=False, domain=False, labelPadding=8)),
        x=alt.X("v:Q", axis=None, scale=alt.Scale(domain=[0, longest or 1], nice=False)),
    )
    colour = alt.Color("k:N", scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())), legend=None)
    told = [alt.Tooltip("g:N", title="group"), alt.Tooltip("s:N", title=heading_of(field.name))]
    bar = base.mark_bar(aria=False).encode(color=colour, **({"tooltip": told} if has_tooltips else {}))
    number = base.mark_text(aria=False, align="left", dx=5, fontSize=11, color="#333333").encode(text="n:N")
    chart = alt.layer(bar, number).properties(width=_WIDTH, height={"step": 20}, title=title_of(heading_of(field.name)))
    return chart, bool((known > longest).any())


def _is_sum(field: pa.Field) -> bool:
    """Whether groups can be added up."""
    return bool(field.metadata[b"kind"] == b"count" or field.name.startswith("sum("))


def _is_number(field: pa.Field) -> bool:
    return bool(pa.types.is_floating(field.type) or field.metadata[b"kind"] == b"count")
