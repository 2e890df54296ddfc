"""Hours of each day, by the clocks on the wall: which part of a time is inside them.

Clocks are set forward and back. A moment is inside when the clocks then show a time that is: an hour that they show
twice counts twice, and one that they leave out does not.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from sqlglot import exp

from spanline.errors import quoted
from spanline.query import nodes
from spanline.query.nodes import Node
from spanline.query.times import DAY, HOUR, SECOND, Unfit
from spanline.query.tree import Hours

_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})", re.ASCII)
_MINUTE = 60 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def hours_of(text: str, zone: tzinfo) -> Hours:
    """21:00-06:30 by the clocks of `zone`. Raises Unfit."""
    match = _HOURS.fullmatch(text.strip())
    hint = "write them like 21:00-06:30"
    if match is None:
        raise Unfit(f"{quoted(text)} are no hours of a day", hint)
    hour, minute, last_hour, last_minute = map(int, match.groups())
    begin, end = hour * HOUR + minute * _MINUTE, last_hour * HOUR + last_minute * _MINUTE
    if minute > 59 or last_minute > 59 or begin >= DAY or end > DAY:
        raise Unfit(f"{quoted(text)} are no hours of a day", "they are from 00:00 to 24:00")
    if begin == end:
        raise Unfit(f"{quoted(text)} end when they begin", hint)
    return Hours(begin, end - begin if begin < end else end + DAY - begin, zone)


def hours_text(hours: Hours) -> str:
    """21:00-06:30"""
    end = hours.begin + hours.length
    return "-".join(
        f"{time // HOUR:02}:{time % HOUR // _MINUTE:02}" for time in (hours.begin, end if end <= DAY else end - DAY)
    )


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which clocks are as far from UTC as at its begin, ns since the epoch.

    origin  when hours begin on a day before all that is asked about, had the clocks always been so
    behind  what Inside.elapsed() is more at `begin` than the hours since `origin`
    """

    begin: int
    origin: int
    behind: int


@dataclass(frozen=True, slots=True)
class Inside:
    """What of a time is inside hours of `length` ns."""

    length: int
    periods: tuple[Period, ...]

    def elapsed(self, moment: int) -> int:
        """How much has been inside from the begin of the time to a moment in it, ns."""
        at = bisect_right(self.periods, moment, key=lambda one: one.begin)
        period = self.periods[max(at - 1, 0)]
        return period.behind + _since(moment - period.origin, self.length)

    def elapsed_node(self, moment: Node) -> Node:
        """The same of a moment in SQL."""
        since = nodes.less(moment.copy(), self._of_period(moment, [one.origin for one in self.periods]))
        days = exp.IntDiv(this=since, expression=nodes.number(DAY))
        today = nodes.call("LEAST", exp.Mod(this=since.copy(), expression=nodes.number(DAY)), nodes.number(self.length))
        behind = self._of_period(moment, [one.behind for one in self.periods])
        return nodes.plus(nodes.times(exp.paren(days), nodes.number(self.length)), today, behind)

    def is_touched(self, begin: Node, last: Node) -> Node:
        """Whether something from `begin` to `last`, both included, is inside."""
        behind = nodes.plus(last, nodes.number(1))
        return exp.GT(this=self.elapsed_node(behind), expression=self.elapsed_node(begin))

    def _of_period(self, moment: Node, values: Sequence[int], first: int = 0) -> Node:
        if len(set(values)) == 1:
            return nodes.number(values[0])
        half = len(values) // 2
        is_later = moment.copy() >= nodes.number(self.periods[first + half].begin)
        return nodes.either(
            is_later,
            self._of_period(moment, values[half:], first + half),
            self._of_period(moment, values[:half], first),
        )


def inside(hours: Hours, begin: int, end: int) -> Inside:
    """The hours in the time from `begin` to before `end`, ns since the epoch."""
    periods: list[Period] = []
    elapsed = 0
    # That is before whatever clocks show, also when they are set back: no remainder below is negative.
    day = begin // DAY - 3
    for start, offset in _offsets(hours.zone, begin, end):
        if periods:
            elapsed = Inside(hours.length, tuple(periods)).elapsed(start)
        origin = day * DAY + hours.begin - offset
        periods.append(Period(start, origin, elapsed - _since(start - origin, hours.length)))
    return Inside(hours.length, tuple(periods))


def _since(time: int, length: int) -> int:
    """How much is inside of a time that begins with the hours of a day."""
    return time // DAY * length + min(time % DAY, length)


def _offsets(zone: tzinfo, begin: int, end: int) -> list[tuple[int, int]]:
    """(from when, how far clocks are from UTC), ns; no clock is set twice in a day."""
    found = [(begin, _offset(zone, begin))]
    at = begin
    while at < end:
        following = min(at + DAY, end)
        if _offset(zone, following) != found[-1][1]:
            early, late = at // SECOND, following // SECOND
            while early + 1 < late:
                middle = (early + late) // 2
                if _offset(zone, middle * SECOND) == found[-1][1]:
                    early = middle
                else:
                    late = middle
            found.append((late * SECOND, _offset(zone, late * SECOND)))
        at = following
    return found


def _offset(zone: tzinfo, moment: int) -> int:
    offset = (_EPOCH + timedelta(seconds=moment // SECOND)).astimezone(zone).utcoffset()
    return (offset or timedelta()) // timedelta(seconds=1) * SECOND
