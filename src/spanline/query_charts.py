"""Pictures of answers to queries: series as lines, one for each group, and groups as bars."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.cli.query_view import cells_of, heading_of
from spanline.errors import UsageError

if TYPE_CHECKING:
    import altair as alt

_WIDTH, _HEIGHT = 760, 200
_MOST_LINES, _MOST_BARS = 9, 20
_OTHERS = "others"
# Okabe and Ito's colours, which people who see few colours can tell apart, and a grey for the others.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c564b", "#003f5c")
_GREY = "#999999"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"byte": "bytes", "bit/s": "bit/s", "ns": "ns"}
_NUMBERS = "format(datum.value, abs(datum.value) < 1e4 ? ',~r' : '~s')"
_TIMES = (
    "utcFormat(datum.value, utcseconds(datum.value) ? '%H:%M:%S' : "
    "utchours(datum.value) || utcminutes(datum.value) ? '%H:%M' : '%a %d %b')"
)
_LONGEST_TITLE = 110


def answer_chart(table: pa.Table, groups: Collection[str], zone: tzinfo, title: str) -> alt.TopLevelMixin:
    """A panel for each series of an answer (query.answer.query()) with a line a group, or bars of its first number.

    Of sums, groups beyond the first nine are added up as `others`. Times are in `zone`. Raises UsageError when there is
    neither a series nor a group with a number.
    """
    import altair as alt

    series = [field for field in table.schema if b"step" in field.metadata]
    if not table.num_rows:
        raise UsageError("nothing was found that could be drawn", hint="ask about another time")
    names = _names(table, groups, zone)
    made = [_lines(table, field, names, zone) for field in series] or [_bars(table, names)]
    if len(title) > _LONGEST_TITLE:
        title = f"{title[: _LONGEST_TITLE - 1]}…"
    whole = alt.vconcat(*made).resolve_scale(color="shared") if len(made) > 1 else made[0]
    titled: alt.TopLevelMixin = whole.properties(
        title=alt.TitleParams(title, anchor="start", fontSize=13)
    ).configure_view(stroke=None)
    return titled


def _names(table: pa.Table, groups: Collection[str], zone: tzinfo) -> list[str]:
    """Of each row: its groups."""
    named = [cells_of(table, n, groups, zone) for n, field in enumerate(table.schema) if field.name in groups]
    return [", ".join(one) for one in zip(*named, strict=True)] if named else ["all"] * table.num_rows


def _lines(table: pa.Table, field: pa.Field, names: list[str], zone: tzinfo) -> alt.Chart:
    import altair as alt

    values = np.array(table.column(field.name).to_pylist(), np.float64)
    if len(names) > _MOST_LINES:
        rest = values[_MOST_LINES:].sum(axis=0, keepdims=True)
        is_sum = field.name.startswith("series(sum(")
        values = np.concatenate([values[:_MOST_LINES], rest]) if is_sum else values[:_MOST_LINES]
        names = [*names[:_MOST_LINES], *[_OTHERS] * is_sum]
    times = _local_milliseconds(field, values.shape[1], zone)
    rows = [
        {"t": at, "v": None if np.isnan(value) else value, "g": name}
        for name, line in zip(names, values.tolist(), strict=True)
        for at, value in zip(times, line, strict=True)
    ]
    times_axis = alt.Axis(grid=False, tickCount=8, labelExpr=_TIMES)
    colours = [*_COLOURS[: min(len(names), _MOST_LINES)], _GREY][: len(names)]
    legend = alt.Legend(title=None, labelLimit=160) if names != ["all"] else None
    chart: alt.Chart = (
        alt.Chart(alt.Data(values=rows))  # type: ignore[no-untyped-call]
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("t:T", scale=alt.Scale(type="utc"), title=_zone_name(field, zone), axis=times_axis),
            y=alt.Y("v:Q", title=_titled(field), axis=alt.Axis(labelExpr=_NUMBERS, tickCount=5)),
            color=alt.Color("g:N", scale=alt.Scale(domain=names, range=colours), legend=legend),
        )
        .properties(width=_WIDTH, height=_HEIGHT)
    )
    return chart


def _bars(table: pa.Table, names: list[str]) -> alt.Chart:
    import altair as alt

    field = next((one for one in table.schema if b"kind" in one.metadata and _is_number(one)), None)
    if field is None or names == ["all"] * table.num_rows:
        raise UsageError("a picture needs groups or a series", hint="write group by Source Country, or series(…) of")
    rows = [
        {"g": name, "v": value}
        for name, value in zip(names[:_MOST_BARS], table.column(field.name).to_pylist(), strict=False)
    ]
    bars = alt.Chart(alt.Data(values=rows)).encode(  # type: ignore[no-untyped-call]
        x=alt.X("v:Q", title=_titled(field), axis=alt.Axis(labelExpr=_NUMBERS, tickCount=6)),
        y=alt.Y("g:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)),
    )
    chart: alt.Chart = bars.mark_bar(color=_COLOURS[0]).properties(width=_WIDTH, height={"step": 22})
    return chart


def _is_number(field: pa.Field) -> bool:
    return bool(pa.types.is_floating(field.type) or field.metadata[b"kind"] == b"count")


def _titled(field: pa.Field) -> str:
    unit = _UNITS.get(field.metadata.get(b"unit", b"").decode(), "")
    return f"{heading_of(field.name)} ({unit})" if unit else heading_of(field.name)


def _local_milliseconds(field: pa.Field, count: int, zone: tzinfo) -> list[int]:
    """When buckets begin, as the clocks of `zone` show it, and as if that were UTC: Vega knows no zones."""
    begin, step = int(field.metadata[b"begin"]), int(field.metadata[b"step"])
    times: npt.NDArray[np.int64] = (begin + step * np.arange(count, dtype=np.int64)) // 10**6
    return [at + _offset(at, zone) for at in times.tolist()]


def _zone_name(field: pa.Field, zone: tzinfo) -> str:
    begin = _EPOCH + timedelta(milliseconds=int(field.metadata[b"begin"]) // 10**6)
    return begin.astimezone(zone).strftime("%Z")


def _offset(milliseconds: int, zone: tzinfo) -> int:
    offset: Any = (_EPOCH + timedelta(milliseconds=milliseconds)).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) * 1000
