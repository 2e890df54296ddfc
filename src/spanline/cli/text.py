"""Numbers, times and foreign text as a terminal shall show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNKNOWN = "–"


def printable(text: str) -> str:
    """`text` without anything that a terminal acts upon: what does not print is escaped as Python does it.

    All that comes from a packet, a file or a file's name goes through here: control characters, but also those that
    turn the direction of writing and halves of surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def size(count: float, unit: str = "B") -> str:
    """926 B, 9.73 kB, 1.20 GB: three digits, powers of 1000."""
    if abs(count) < 999.5:
        return f"{count:.0f} {unit}"
    power = 0
    while abs(count) >= 999.5 and power < 4:
        count /= 1000
        power += 1
    return f"{_three_digits(count)} {'kMGT'[power - 1]}{unit}"


def quantity(count: int) -> str:
    """A count in five places: 12345, 1.23M."""
    return str(count) if count < 100_000 else size(count, "").replace(" ", "")


def duration(nanoseconds: int | None) -> str:
    """142 µs, 1.16 ms, 2.35 s: three digits."""
    if nanoseconds is None:
        return UNKNOWN
    value, unit = float(nanoseconds), "ns"
    for larger in ("µs", "ms", "s"):
        if abs(value) < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{nanoseconds} ns" if unit == "ns" else f"{_three_digits(value)} {unit}"


def _three_digits(value: float) -> str:
    magnitude = abs(value)
    return f"{value:.{2 if magnitude < 9.995 else 1 if magnitude < 99.95 else 0}f}"


def date(time: int) -> str:
    """The day, UTC, of `time` in ns since the epoch."""
    return _seconds(time).strftime("%Y-%m-%d")


def time_of_day(time: int, digits: int) -> str:
    """The time of day, UTC, of `time` in ns since the epoch, cut to `digits` after the point."""
    text = _seconds(time).strftime("%H:%M:%S")
    return f"{text}.{time % 10**9:09d}"[: 9 + digits] if digits else text


def _seconds(time: int) -> datetime:
    return _EPOCH + timedelta(seconds=time // 10**9)


def rfc3339(time: int) -> str:
    """2026-01-02T03:04:05.123456789Z of `time` in ns since the epoch."""
    return f"{date(time)}T{time_of_day(time, 9)}Z"


def plural(count: int, noun: str) -> str:
    """1 flow, 2,345 flows."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
