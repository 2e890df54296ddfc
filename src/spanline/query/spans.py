"""When a query is about: its window as times, and the buckets of its series."""

from __future__ import annotations

from dataclasses import dataclass

from spanline.errors import UsageError
from spanline.query.hours import Inside, inside
from spanline.query.tree import Window

SECOND = 10**9
BUCKETS = 100
"""A window has at most so many buckets where a query says nothing of them."""
_MOST_BUCKETS = 100_000


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin` to before `end`, ns since the epoch.

    measured_from  what `end` is where it was not said: "now", "the newest record", or "" where it was said
    hours          what of it counts; None: all
    """

    begin: int
    end: int
    measured_from: str = ""
    hours: Inside | None = None

    @property
    def seconds(self) -> float:
        """What a rate is by."""
        if self.hours is not None:
            return (self.hours.elapsed(self.end) - self.hours.elapsed(self.begin)) / SECOND
        return (self.end - self.begin) / SECOND


@dataclass(frozen=True, slots=True)
class Held:
    """What a store holds: when its records begin and end, ns since the epoch, both included; live: it is still growing,
    and "the last 24 hours" are those until now."""

    first: int
    last: int
    is_live: bool = False


def span_of(window: Window, held: Held | None, now: int) -> Span:
    """The times that a window means in a store; `held` None: it holds nothing."""
    begin, end, measured_from = _times(window, held, now)
    hours = None if window.hours is None else inside(window.hours, begin, end)
    return Span(begin, end, measured_from, hours)


def _times(window: Window, held: Held | None, now: int) -> tuple[int, int, str]:
    if held is None or held.is_live:
        newest, measured_from = now, "now"
    else:
        newest, measured_from = held.last + 1, "the newest record"
    oldest = newest if held is None else held.first
    if window.begin is not None or window.end is not None:
        begin = min(oldest, window.end or newest) if window.begin is None else window.begin
        end = newest if window.end is None else window.end
        return begin, max(end, begin + 1), measured_from if window.end is None else ""
    end = newest - window.ago
    begin = min(oldest, end - 1) if window.last is None else end - window.last
    return begin, end, measured_from


def step_of(span: Span, seconds: int | None) -> int:
    """Length of a bucket in ns: what was said, else the window / 100 rounded up to 1, 2 or 5 times a power of ten."""
    if seconds is not None:
        step = seconds * SECOND
        if (span.end - span.begin) // step >= _MOST_BUCKETS:
            days = (span.end - span.begin) / (86400 * SECOND)
            raise UsageError(
                f"buckets of {seconds} s make more than {_MOST_BUCKETS:,} of {days:.1f} days",
                hint="take longer ones, or a shorter window",
            )
        return step
    least = -(-(span.end - span.begin) // BUCKETS)
    decade = 1
    while True:
        for digit in (1, 2, 5):
            if digit * decade >= least:
                return digit * decade
        decade *= 10


def buckets_of(span: Span, step: int) -> tuple[int, int]:
    """(begin of the first bucket, how many there are). They lie on multiples of `step`: the first and the last one may
    stick out of the window."""
    first = span.begin - span.begin % step
    return first, (span.end - 1 - first) // step + 1
