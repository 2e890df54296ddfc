"""Axes of pictures of answers: numbers with their units, and times as the clocks of a zone show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow as pa

from spanline.query.tree import Kind

if TYPE_CHECKING:
    import altair as alt

_SECOND = 1000
_MINUTE, _HOUR, _DAY = 60 * _SECOND, 3600 * _SECOND, 86_400 * _SECOND
_STEPS = (
    *(_SECOND * n for n in (1, 2, 5, 10, 15, 30)),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 3, 7, 14, 28, 91, 182, 364)),
)
"""Of ticks, in ms."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COUNTED = "format(datum.value, abs(datum.value) < 1e4 ? ',~r' : '~s')"
_OF_UNIT = "replace(format(datum.value, abs(datum.value) < 1 ? '~r' : '~s'), regexp('([a-zA-Z]?)$'), ' $1{unit}')"
_OF_DURATION = " : ".join(
    [
        *(
            f"abs(datum.value) >= {length} ? format(datum.value / {length}, ',~r') + ' {unit}'"
            for unit, length in (("s", 10**9), ("ms", 10**6), ("µs", 10**3))
        ),
        "format(datum.value, '~r') + ' ns'",
    ]
)


def numbers(field: pa.Field) -> str:
    """Vega's expression for a label of an axis: the number with its unit, as tables on a terminal have it."""
    return f"datum.value == 0 ? '0' : {_labels(field.metadata[b'kind'].decode())}"


def _labels(kind: str) -> str:
    if kind in (Kind.BYTES, Kind.RATE):
        return _OF_UNIT.format(unit="B" if kind == Kind.BYTES else "b/s")
    if kind == Kind.DURATION:
        return _OF_DURATION
    return "format(datum.value, '~%')" if kind == Kind.RATIO else _COUNTED


def time_axis(begin: int, end: int, zone: tzinfo, most: int, *, has_title: bool = True) -> alt.X:
    """The times from `begin` to `end`, ms since the epoch, about `most` steps between full hours or days of `zone`.

    Vega knows UTC and the zone of a browser. So where ticks are, and by how much their labels differ from UTC, is told.
    """
    import altair as alt

    offsets = _offsets(begin, end, zone)
    step = next((step for step in _STEPS if (end - begin) / step < most + 1), _STEPS[-1])
    local = f"time(datum.value) + {_offset_expression(offsets)}"
    day = "%a %d %b" if end - begin <= 60 * _DAY else "%d %b %Y"
    clock = "%H:%M" if step >= _MINUTE else "%H:%M:%S"
    label = f"utcFormat({local}, '{day}')"
    if step < _DAY:
        label = f"utcFormat({local}, '%H%M%S') == '000000' ? {label} : utcFormat({local}, '{clock}')"
    axis = alt.Axis(
        grid=False, values=_ticks(offsets, end, step), labelExpr=label, labelFlush=False, titleAnchor="start"
    )
    scale = alt.Scale(type="utc", domain=[begin, end], nice=False)
    return alt.X("t:T", scale=scale, axis=axis, title=_title(begin, end, zone, offsets) if has_title else None)


def _ticks(offsets: Sequence[tuple[int, int]], end: int, step: int) -> list[int]:
    """Where the local time is a multiple of `step`."""
    made: list[int] = []
    for (since, offset), (until, _) in zip(offsets, [*offsets[1:], (end + 1, 0)], strict=True):
        first = -(-(since + offset) // step) * step - offset
        made += range(first, until, step)
    return made


def _offset_expression(offsets: Sequence[tuple[int, int]]) -> str:
    made = str(offsets[0][1])
    for since, offset in offsets[1:]:
        made = f"(time(datum.value) < {since} ? {made} : {offset})"
    return made


def _title(begin: int, end: int, zone: tzinfo, offsets: Sequence[tuple[int, int]]) -> str:
    """Europe/Zurich (CET, CEST), 2026-03-18 to 2026-04-01."""
    short = list(dict.fromkeys(_at(since, zone).strftime("%Z") for since, _ in offsets))
    name = zone.key if isinstance(zone, ZoneInfo) and zone.key and zone.key not in short else ""
    days = [_at(at, zone).strftime("%Y-%m-%d") for at in (begin, end - 1)]
    zones = f"{name} ({', '.join(short)})" if name else ", ".join(short)
    return f"{zones}, {' to '.join(dict.fromkeys(days))}"


def _offsets(begin: int, end: int, zone: tzinfo) -> list[tuple[int, int]]:
    """(from when on, ms by which the clocks of `zone` are ahead of UTC), from `begin` on."""
    made = [(begin, _offset(begin, zone))]
    at = begin
    while at < end:
        later = min(at + _DAY, end)
        if _offset(later, zone) != made[-1][1]:
            before, changed = at, later
            while changed - before > _SECOND:
                middle = (before + changed) // 2
                if _offset(middle, zone) == made[-1][1]:
                    before = middle
                else:
                    changed = middle
            changed -= changed % _SECOND
            made.append((changed, _offset(changed, zone)))
        at = later
    return made


def _offset(at: int, zone: tzinfo) -> int:
    offset = _at(at, zone).utcoffset() or timedelta()
    return round(offset.total_seconds()) * 1000


def _at(milliseconds: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(milliseconds=milliseconds)).astimezone(zone)
