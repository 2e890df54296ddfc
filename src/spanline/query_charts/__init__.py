"""Pictures of answers to queries: series as lines, groups as bars, and groups by country as a map, too."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from datetime import tzinfo
from typing import TYPE_CHECKING

import pyarrow as pa

from spanline.cli.query_view import window_text
from spanline.cli.text import printable

if TYPE_CHECKING:
    import altair as alt

_LINE_OF_TITLE, _LINES_OF_TITLE = 110, 3


def answer_chart(
    table: pa.Table, groups: Collection[str], zone: tzinfo, title: str, *, has_tooltips: bool = False
) -> alt.TopLevelMixin:
    """An answer (query.answer.query()) as a picture: a line for each group and series, or a bar for each group,
    flow or thing.

    groups        columns by which the query groups; an answer without them is drawn by what it lists
    zone          of the times
    title         the query; "" where the picture stands beside it, and beside the time that it is about
    has_tooltips  what is under the pointer is told: for HTML, as there is no pointer in SVG and PNG

    Groups by one country are a map above the bars. Groups beyond the first ten (bars: twenty) are added up as
    "37 others" where they can be, and are else told of; `(not set)` comes last. An answer without rows says so.
    Raises UsageError when there is neither a series nor anything with a number.
    """
    import altair as alt

    from spanline.query_charts.bars import bars
    from spanline.query_charts.lines import lines

    draw = lines if any(b"step" in field.metadata for field in table.schema) else bars
    drawing = draw(table, groups, zone, has_tooltips)
    words = textwrap.wrap(
        printable(title), _LINE_OF_TITLE, max_lines=_LINES_OF_TITLE, placeholder=" …", break_on_hyphens=False
    )
    about = [window_text(table.schema.metadata, zone)] if words else []
    small = [line for note in (*about, *drawing.notes) for line in textwrap.wrap(note, _LINE_OF_TITLE)]
    chart = drawing.chart
    if words:
        chart = chart.properties(
            title=alt.TitleParams(
                words,
                subtitle=small,
                anchor="start",
                fontSize=13,
                subtitleFontSize=11,
                subtitleColor="#555555",
                offset=14,
            )
        )
    elif small:
        chart = chart.properties(
            title=alt.TitleParams(small, anchor="start", fontSize=11, fontWeight="normal", color="#555555", offset=8)
        )
    made: alt.TopLevelMixin = (
        chart.configure(background="white")
        .configure_view(stroke=None)
        .configure_axis(gridColor="#e8e8e8", domainColor="#bbbbbb", tickColor="#bbbbbb", labelFontSize=11)
        .configure_legend(labelFontSize=11, labelLimit=220, symbolStrokeWidth=3)
    )
    return made
