"""Series as lines: on one axis where they can be told apart, else each on its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.cli.query_view import heading_of, length_text, local_time
from spanline.query.tree import Kind
from spanline.query_charts.axes import numbers, time_axis
from spanline.query_charts.drawing import COLOURS, Drawing, Groups, Sort, data_of, text_of_number, title_of

if TYPE_CHECKING:
    import altair as alt

_WIDTH = 760
_HEIGHT = 170
_LOW = 42
_HEADROOM = 1.15
_LEAST_TOP = 2.0
_ROOM = 62
"""For the numbers of an axis, in pixels."""
_MOST_GROUPS = 10
_MOST_TOGETHER, _ALIKE = 3, 20
"""So many lines, of which the highest is at most so many times as high as the lowest, share an axis."""
_MOST_STEPS = 1000
"""That are drawn; a picture has not more columns of pixels."""
# Okabe and Ito's colours, which people who see few colours can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73")
_HAS_TEXT = "isValid(datum.s)"
_MILLISECOND = 10**6
_TICKS = {1: 8, 2: 4, 3: 2}
"""How many steps between ticks of time have room in so many panels."""


@dataclass(frozen=True, slots=True)
class _Series:
    """A series of the answer.

    values   float64[drawn groups, steps], NaN where nothing is known
    times    when steps begin, and when the last one ends: ms since the epoch, nothing outside of the window
    several  of the answer's steps that are one here
    """

    field: pa.Field
    values: npt.NDArray[np.float64]
    times: list[int]
    several: int

    @property
    def heading(self) -> str:
        counted = self.field.metadata[b"kind"].decode() in (Kind.BYTES, Kind.PACKETS, Kind.NUMBER)
        heading = heading_of(self.field.name)
        if not counted or not _is_sum(self.field):
            return heading
        return f"{heading} in {length_text(int(self.field.metadata[b'step']))}"

    def peaks(self) -> npt.NDArray[np.float64]:
        """float64[drawn groups], 0 where nothing is known."""
        most: npt.NDArray[np.float64] = np.nan_to_num(self.values).max(axis=1)
        return most

    def top(self, peak: float) -> float:
        """Of an axis. A line at 0 is at the bottom of one, and there are no parts of sessions."""
        is_whole = self.field.metadata[b"kind"].decode() == Kind.NUMBER
        return max(peak * _HEADROOM, _LEAST_TOP if is_whole or not peak else 0.0)


def lines(table: pa.Table, groups: Collection[str], zone: tzinfo, has_tooltips: bool) -> Drawing:
    """A line for each group, in a panel for each series or, where one would hide another, in panels of its own.

    A group that has a thousand times the traffic of the others would leave them at the bottom of a common axis, and of
    a logarithmic one traffic that comes and goes has no place at its zeros: so each has its own scale then, as in the
    table on a terminal, and the numbers beside it say how much it is.
    """
    import altair as alt

    if not table.num_rows:
        return nothing_found()
    fields = [field for field in table.schema if b"step" in field.metadata]
    shown = Groups(table, groups, zone, _MOST_GROUPS, can_be_added=any(map(_is_sum, fields)))
    series = [_series(table, field, shown) for field in fields]
    notes = [*shown.notes]
    several = max(one.several for one in series)
    if several > 1:
        notes.append(f"Of {several} steps the highest one is drawn.")
    if _are_alike(series):
        panels = [_together(one, shown, zone, has_tooltips) for one in series]
        return Drawing(alt.vconcat(*panels, spacing=18).resolve_scale(color="shared"), notes)
    if len(shown.names) > 1:
        notes.append("Each line has its own scale.")
    columns = [_apart(one, shown, zone, has_tooltips, n, len(series)) for n, one in enumerate(series)]
    return Drawing(alt.hconcat(*columns, spacing=14), notes)


def nothing_found() -> Drawing:
    """A picture that says so."""
    import altair as alt

    text = alt.Chart(data_of([{}])).mark_text(text="nothing found", fontSize=16, color="#555555")
    return Drawing(text.properties(width=_WIDTH, height=120))


def _series(table: pa.Table, field: pa.Field, shown: Groups) -> _Series:
    """Neighbours are one step where a step would be less than a pixel, or than the ms that Vega's times are of."""
    begin, step = (int(field.metadata[name]) for name in (b"begin", b"step"))
    flat = table.column(field.name).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    values = shown.of(flat.reshape(table.num_rows, -1), can_be_added=_is_sum(field))
    several = max(-(-values.shape[1] // _MOST_STEPS), -(-_MILLISECOND // step))
    if several > 1:
        missing = -values.shape[1] % several
        padded = np.pad(values, ((0, 0), (0, missing)), constant_values=np.nan)
        values = np.fmax.reduce(padded.reshape(len(values), -1, several), axis=2)
    first, last = (int(table.schema.metadata[name]) // _MILLISECOND for name in (b"window_begin", b"window_end"))
    times = np.arange(values.shape[1] + 1) * (step * several // _MILLISECOND) + begin // _MILLISECOND
    return _Series(field, values, np.clip(times, first, max(last, first + 1)).tolist(), several)


def _is_sum(field: pa.Field) -> bool:
    return bool(field.name.startswith("series(sum("))


def _are_alike(series: Sequence[_Series]) -> bool:
    if len(series[0].values) > _MOST_TOGETHER:
        return False
    peaks = [one.peaks() for one in series]
    return all(most.max() <= _ALIKE * min(most[most > 0], default=0) for most in peaks)


def _rows(one: _Series, shown: Groups, zone: tzinfo, has_tooltips: bool) -> list[dict[str, Any]]:
    """t  when a step begins, e  when it ends, v  the value, g  the group, k  its sort; s, w  value and time as texts

    Behind a step after which nothing is known stands a row more, so that its line has a length. A step with the
    value of the one before it has a row only where it can be pointed at.
    """
    show = text_of_number(one.field, zone)
    times = one.times
    when = [local_time(at * _MILLISECOND, zone) for at in times] if has_tooltips else []
    made = []
    for name, sort, line in zip(shown.names, shown.sorts, one.values.tolist(), strict=True):
        known = [None if value != value else value for value in line]
        for n, value in enumerate(known):
            row: dict[str, Any] = {"t": times[n], "v": value, "g": name, "k": sort}
            if has_tooltips and value is not None:
                row |= {"e": times[n + 1], "s": show(value), "w": f"{when[n]} to {when[n + 1]}"}
            if has_tooltips or not n or value != known[n - 1]:
                made.append(row)
            if value is not None and (n + 1 == len(known) or known[n + 1] is None):
                made.append({"t": times[n + 1] - (n + 1 < len(known)), "v": value, "g": name, "k": sort})
    return made


def _tooltips(heading: str) -> list[alt.Tooltip]:
    import altair as alt

    return [
        alt.Tooltip("g:N", title="group"),
        alt.Tooltip("w:N", title="time"),
        alt.Tooltip("s:N", title=heading),
    ]


def _together(one: _Series, shown: Groups, zone: tzinfo, has_tooltips: bool) -> alt.LayerChart | alt.FacetChart:
    import altair as alt

    own = iter(_COLOURS)
    colours = [next(own) if sort is Sort.GROUP else COLOURS[sort] for sort in shown.sorts]
    legend = None if shown.is_one else alt.Legend(title=None)
    axis = _axis(one.field, 5)
    base = alt.Chart().encode(
        x=time_axis(one.times[0], one.times[-1], zone, _TICKS[1]),
        y=alt.Y("v:Q", title=None, axis=axis, scale=alt.Scale(domain=[0, one.top(one.peaks().max())], nice=True)),
        color=alt.Color("g:N", scale=alt.Scale(domain=shown.names, range=colours), legend=legend),
    )
    layers = [base.mark_line(interpolate="step-after", strokeWidth=1.6, aria=False)]
    if has_tooltips:
        layers.append(
            base.mark_point(size=120, opacity=0, aria=False)
            .transform_filter(_HAS_TEXT)
            .encode(tooltip=_tooltips(one.heading))
        )
    return alt.layer(*layers, data=data_of(_rows(one, shown, zone, has_tooltips))).properties(
        width=_WIDTH, height=_HEIGHT, title=title_of(one.heading)
    )


def _axis(field: pa.Field, ticks: int) -> alt.Axis:
    """Of numbers."""
    import altair as alt

    return alt.Axis(labelExpr=numbers(field), tickCount=ticks, domain=False, ticks=False)


def _apart(one: _Series, shown: Groups, zone: tzinfo, has_tooltips: bool, place: int, places: int) -> alt.FacetChart:
    """A column of panels, of which the first of `places` columns has the names of the groups, and the day and the zone
    of all: beside one another there would be no room for these."""
    import altair as alt

    rows = _rows(one, shown, zone, has_tooltips)
    tops = dict(zip(shown.names, map(one.top, one.peaks().tolist()), strict=True))
    for row in rows:
        if row["t"] == one.times[0]:
            row["m"] = tops[row["g"]]
    axis = _axis(one.field, 2)
    x = time_axis(one.times[0], one.times[-1], zone, _TICKS.get(places, 1), has_title=not place)
    base = alt.Chart().encode(x=x)
    y = alt.Y("v:Q", title=None, axis=axis, scale=alt.Scale(nice=False, zero=True))
    colours = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    layers = [
        base.mark_area(interpolate="step-after", fillOpacity=0.25, strokeWidth=1.1, aria=False).encode(
            y=y, fill=alt.Fill("k:N", scale=colours, legend=None), stroke=alt.Stroke("k:N", scale=colours, legend=None)
        ),
        base.mark_point(opacity=0, aria=False).encode(y=alt.Y("m:Q", title=None, axis=axis)),
    ]
    if has_tooltips:
        layers.append(
            base.mark_rect(opacity=0, aria=False)
            .transform_filter(_HAS_TEXT)
            .encode(x2="e", tooltip=_tooltips(one.heading))
        )
    header = (
        alt.Header(labelAngle=0, labelAlign="left", labelLimit=260, labelFontSize=11, labelPadding=_ROOM)
        if not place
        else None
    )
    made: alt.FacetChart = (
        alt.layer(*layers)
        .properties(width=(_WIDTH - 60 * (places - 1)) // places, height=_LOW)
        .facet(
            row=alt.Row("g:N", sort=shown.names, title=None, header=header),
            data=data_of(rows),
            title=title_of(one.heading),
            spacing=18,
            bounds="flush",
        )
        .resolve_scale(y="independent")
    )
    return made
