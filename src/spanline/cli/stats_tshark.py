"""Conversations, endpoints and intervals as tshark 4.0 prints them, letter by letter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spanline import _text
from spanline.errors import UsageError
from spanline.stages.conversations import Conversations, difference, most_frames_first
from spanline.stages.endpoints import endpoints
from spanline.stages.io_statistics import IoStatistics

NAMES = {"eth": "Ethernet", "ip": "IPv4", "ipv6": "IPv6", "tcp": "TCP", "udp": "UDP", "sctp": "SCTP"}
_WITH_PORTS = ("tcp", "udp", "sctp")
_RULE = "=" * 80

MOST_INTERVALS = 1_000_000
"""Lines of io_lines(), which has one for each interval, with frames or without."""


def conversation_lines(conversations: Conversations, kind: str) -> Iterator[str]:
    """What tshark -q -z conv,KIND prints."""
    entries = most_frames_first(conversations.entries(kind))
    indent = " " * (12 if kind in _WITH_PORTS else 0) + " " * 47
    yield from (_RULE, f"{NAMES[kind]} Conversations", "Filter:<No Filter>")
    yield f"{indent}|       <-      | |       ->      | |     Total     |    Relative    |   Duration   |"
    yield f"{indent}| Frames  Bytes | | Frames  Bytes | | Frames  Bytes |      Start     |              |"
    width = 26 if kind in _WITH_PORTS else 20
    start = np.int64(conversations.start or 0)
    starts, stops = (_seconds(difference(entries[name], start)) for name in ("first_time", "last_time"))
    columns = (
        _ends(entries, kind, "source"),
        _ends(entries, kind, "destination"),
        entries["packets"].tolist(),
        entries["bytes"].tolist(),
        starts.tolist(),
        (stops - starts).tolist(),
    )
    for source, destination, (sent, received), (sent_bytes, received_bytes), begin, duration in zip(
        *columns, strict=True
    ):
        yield (
            f"{source:<{width}} <-> {destination:<{width}}  {received:6} {_size(received_bytes):<9}  "
            f"{sent:6} {_size(sent_bytes):<9}  {sent + received:6} {_size(sent_bytes + received_bytes):<9}  "
            f"{begin:14.9f}   {duration:12.4f}"
        )
    yield _RULE


def endpoint_lines(conversations: Conversations, kind: str) -> Iterator[str]:
    """What tshark -q -z endpoints,KIND prints."""
    ends = endpoints(conversations, kind)
    has_ports = kind in _WITH_PORTS
    yield from (_RULE, f"{NAMES[kind]} Endpoints", "Filter:<No Filter>")
    yield (
        f"{' ' * 23}|  {'Port  ||  ' if has_ports else ''}Packets  | |  Bytes  | | Tx Packets | | Tx Bytes |"
        " | Rx Packets | | Rx Bytes |"
    )
    columns = (
        _addresses(ends["source"], kind),
        ends["source_port"].tolist(),
        ends["packets"].tolist(),
        ends["bytes"].tolist(),
    )
    for address, port, (sent, received), (sent_bytes, received_bytes) in zip(*columns, strict=True):
        yield (
            f"{address:<20}      {f'{port:>5}     ' if has_ports else ''}{sent + received:6}"
            f"     {sent_bytes + received_bytes:9}     {sent:6}       {sent_bytes:9}      {received:6}"
            f"       {received_bytes:9}   "
        )
    yield _RULE


def _seconds(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """ns as tshark makes floating-point seconds of them, with the same loss."""
    whole = np.trunc(times / 1e9).astype(np.int64)
    whole += (times - whole * 10**9) // 10**9  # where the division was rounded to the next second
    whole += (whole < 0) & (times > whole * 10**9)
    return whole + (times - whole * 10**9) / 1e9


def _ends(entries: npt.NDArray[np.void], kind: str, end: str) -> list[str]:
    addresses = _addresses(entries[end], kind)
    if kind not in _WITH_PORTS:
        return addresses
    ports = entries[f"{end}_port"].tolist()
    return [f"{address}:{port}" for address, port in zip(addresses, ports, strict=True)]


def _addresses(octets: npt.NDArray[np.uint8], kind: str) -> list[str]:
    if kind == "eth":
        offsets, letters = _text.macs(np.ascontiguousarray(octets[:, :6]))
    else:
        offsets, letters = _text.addresses(np.ascontiguousarray(octets))
    text, ends = letters.tobytes().decode(), offsets.tolist()
    return [text[start:end] for start, end in itertools.pairwise(ends)]


def _size(count: int) -> str:
    """tshark's rounding: two digits or more of the largest unit that leaves as many, cut off."""
    for power, unit in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if count >= 10 ** (power + 1):
            return f"{count // 10**power} {unit}B"
    return f"{count} bytes"


def io_lines(statistics: IoStatistics) -> Iterator[str]:
    """What tshark -q -z io,stat,SECONDS prints. Raises UsageError for more than MOST_INTERVALS intervals."""
    layout = _IoLayout(statistics)
    if layout.rows > MOST_INTERVALS:
        raise UsageError(
            f"tshark would print {layout.rows:,} intervals",
            hint="ask for longer ones with --interval, or without --as-tshark",
        )
    return _io_lines(statistics, layout)


class _IoLayout:
    """Widths and roundings as tshark finds them; times in µs."""

    def __init__(self, statistics: IoStatistics) -> None:
        duration = (statistics.duration + 500) // 1000
        interval = statistics.interval // 1000
        is_whole = interval > duration
        if is_whole:
            interval = duration
        magnitude = _digits(duration // 10**6)
        if interval == duration:
            self.places = 1 if magnitude >= 2 else 3
        else:
            self.places = len(f"{interval % 10**6:06d}".rstrip("0"))
        self.is_one = interval == duration
        self.unit = 10 ** (6 - self.places)
        self.exact = duration
        if duration % self.unit > 5 * (self.unit // 10):
            duration = (duration + 5 * (self.unit // 10)) // self.unit * self.unit
        self.duration = duration
        self.interval = duration if is_whole else interval
        self.magnitude = _digits(duration // 10**6)
        self.rows = -(-duration // self.interval) if self.interval else 0

    @property
    def is_narrow(self) -> bool:
        """Whether a time has one digit, and the column is wider than times need."""
        return self.magnitude == 1 and not self.places

    def row(self, number: int) -> str:
        """From when to when an interval is."""
        start, is_last = number * self.interval, number == self.rows - 1
        begin, end = (
            self.time(time, self.magnitude) for time in (start, self.duration if is_last else start + self.interval)
        )
        if not self.places and is_last:
            end = f"{'Dur':<{max(self.magnitude + 1, 3)}}"
        else:
            end += "  " if self.is_narrow else " "
        return f"{' ' if self.is_narrow else ''}{begin} <> {end}"

    def time(self, microseconds: int, width: int = 0) -> str:
        """Seconds, in as many places as the interval has."""
        text = f"{microseconds // 10**6:{width}}"
        if not self.places:
            return text
        return f"{text}.{microseconds % 10**6 // self.unit:0{self.places}d}"


def _io_lines(statistics: IoStatistics, layout: _IoLayout) -> Iterator[str]:
    entries = statistics.entries()
    known = {number: (frames, octets) for number, frames, octets in entries.tolist()}
    frames_width, bytes_width = (
        max(least, _digits(int(entries[name].max()) if len(entries) else 0, 15))
        for name, least in (("frames", 6), ("bytes", 5))
    )
    first_width = 2 * layout.magnitude + 8 + (2 * layout.places + 2 if layout.places else 0)
    if layout.is_narrow:
        first_width += 2
    table_width = first_width + frames_width + 3 + bytes_width + 3
    width = max(table_width, 30 + layout.magnitude + layout.places + 1 if layout.is_one else 26)
    width += width - table_width == 1
    filler = " " * (width - table_width - 1) + "|" if width > table_width else ""

    def boxed(text: str = "") -> str:
        return f"|{text:<{width - 2}}|"

    yield ""
    yield "=" * width
    yield boxed(" IO Statistics")
    yield boxed()
    seconds = f"{layout.exact // 10**6:{layout.magnitude}}.{layout.exact % 10**6:6}"
    if layout.places:
        seconds = layout.time(layout.duration, layout.magnitude)
    yield boxed(f" Duration: {seconds} secs")
    yield boxed(f" Interval: {layout.time(layout.interval, layout.magnitude)} secs")
    yield boxed()
    yield boxed(" Col 1: Frames and bytes")
    yield f"|{'-' * (width - 2)}|"
    yield f"|{' ' * (first_width - 2)}|1{' ' * (table_width - first_width - 2)}|{filler}"
    headings = f"{_centred('Frames', frames_width)} | {_centred('Bytes', bytes_width)}"
    yield f"| {'Interval':<{first_width - 4}} | {headings} |{filler}"
    yield f"|{'-' * (table_width - 2)}|{filler}"
    for row in range(layout.rows):
        frames, octets = known.get(row, (0, 0))
        yield f"| {layout.row(row)}| {frames:{frames_width}} | {octets:{bytes_width}} |{filler}"
    yield "=" * width


def _centred(text: str, width: int) -> str:
    """`text` in the middle, rather to the right of it."""
    return text.ljust(len(text) + (width - len(text)) // 2).rjust(width)


def _digits(value: int, most: int = 5) -> int:
    return min(len(str(value)), most)
