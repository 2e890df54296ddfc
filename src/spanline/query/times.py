"""Times of a query: lengths, moments, days; and the window that they make."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import timezone as offset_zone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from spanline.errors import UsageError, nearest, quoted

SECOND = 10**9
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
LONGEST = 100 * 366 * DAY
"""No length of time in a query is more."""

_UNITS = {
    "ms": 10**6, "millisecond": 10**6, "s": SECOND, "sec": SECOND, "second": SECOND, "m": 60 * SECOND,
    "min": 60 * SECOND, "minute": 60 * SECOND, "h": HOUR, "hr": HOUR, "hour": HOUR, "d": DAY, "day": DAY,
    "w": 7 * DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY,
}  # fmt: skip
_LENGTH = re.compile(r"(?:(\d+)\s*)?([a-z]+)", re.IGNORECASE | re.ASCII)
_DATE = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[T ]\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?)?",
    re.IGNORECASE | re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unfit(ValueError):
    """A text is not what it should be: why, and what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Clock:
    """What a query's times are relative to: `now` in ns since the epoch, and the zone of its days and dates."""

    now: int
    zone: tzinfo

    def midnight(self, days_ago: int = 0) -> int:
        """When the day began that was so many days ago."""
        today = (_EPOCH + timedelta(microseconds=self.now // 1000)).astimezone(self.zone)
        begin = datetime(today.year, today.month, today.day) - timedelta(days=days_ago)
        return _nanoseconds(begin.replace(tzinfo=self.zone))


def clock(now: int | None, zone: str | tzinfo | None) -> Clock:
    """now  ns since the epoch; None: what the clock says
    zone  an IANA name ("Europe/Zurich"), or None for this machine's. Raises UsageError.
    """
    return Clock(time.time_ns() if now is None else now, zone_of(zone))


def zone_of(name: str | tzinfo | None) -> tzinfo:
    """The time zone of that name; None: this machine's. Raises UsageError."""
    if isinstance(name, tzinfo):
        return name
    if name is None:
        return _own_zone()
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = nearest(name, available_timezones()) or "write a name like Europe/Zurich or UTC"
        raise UsageError(f"there is no time zone {quoted(name)}", hint=hint) from None


def _own_zone() -> tzinfo:
    """With its rules where they are known: another day may have another offset than today."""
    named = os.environ.get("TZ", "").lstrip(":")
    try:
        if named:
            return ZoneInfo(named)
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.now().astimezone().tzinfo or UTC


def length(text: str) -> int:
    """ "7 days", "12h", "week" in ns. Raises Unfit."""
    match = _LENGTH.fullmatch(text.strip())
    hint = "write a number and a unit, like 7 days or 12 hours"
    if match is None:
        raise Unfit(f"{quoted(text)} is no length of time", hint)
    number, word = match[1] or "1", match[2].lower()
    unit = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
    if unit is None:
        likely = nearest(word, ("seconds", "minutes", "hours", "days", "weeks", "months", "years"))
        raise Unfit(f"{quoted(match[2])} is no unit of time", likely or hint)
    if len(number) > 15 or not 0 < int(number) * unit <= LONGEST:
        raise Unfit(f"{quoted(text)} is no length of time that can be asked for", "it is 100 years at most")
    return int(number) * unit


def span(text: str, clock: Clock) -> tuple[int, int]:
    """The first ns of a moment, and that behind its last: a day has many, a time of day has none.

    now, today, yesterday, 3 days ago, 2026-01-31, 2026-01-31 12:34[:56[.789]] with Z or +02:00 behind it or in the
    clock's zone. Raises Unfit.
    """
    word = " ".join(text.lower().split())
    if word == "now":
        return clock.now, clock.now
    if word == "today":
        return clock.midnight(), clock.now
    if word == "yesterday":
        return clock.midnight(1), clock.midnight()
    if word.endswith(" ago"):
        moment = clock.now - length(word.removesuffix(" ago"))
        return moment, moment
    return _date(text, clock)


def _date(text: str, clock: Clock) -> tuple[int, int]:
    match = _DATE.fullmatch(text.strip())
    if match is None:
        raise Unfit(f"{quoted(text)} is no time", "write '2026-01-31 12:34', now, today, yesterday or 3 days ago")
    part = match.groupdict()
    try:
        day = datetime(int(part["year"]), int(part["month"]), int(part["day"]))
        if part["hour"] is None:
            following = day + timedelta(days=1)
            return _nanoseconds(day.replace(tzinfo=clock.zone)), _nanoseconds(following.replace(tzinfo=clock.zone))
        clocked = day.replace(hour=int(part["hour"]), minute=int(part["minute"]), second=int(part["second"] or 0))
        begin = _nanoseconds(clocked.replace(tzinfo=_zone(part["zone"]) if part["zone"] else clock.zone))
    except (ValueError, OverflowError):
        raise Unfit(f"{quoted(text)} is no time", "there is no such day or hour") from None
    begin += int((part["fraction"] or "0").ljust(9, "0"))
    return begin, begin


def _zone(text: str) -> tzinfo:
    if text.upper() in ("Z", "UTC"):
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return offset_zone(-offset if text[0] == "-" else offset)


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1) * SECOND
