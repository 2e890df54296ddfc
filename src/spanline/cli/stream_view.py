"""One stream on a terminal: what its ends said, with times; or as tshark 4.0 prints it with -z follow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console

from spanline.cli.screen import Line, draw_lines
from spanline.cli.stream_text import Ranges, Shown, ascii_text, digits, hex_lines, unicode_text
from spanline.cli.text import date, plural, rfc3339, size, time_of_day
from spanline.stages.ends import end_text
from spanline.stages.follow import Follow, Record

STYLES = {"text": "ascii", "hex": "hex", "raw": "raw"}
"""Ways to show bytes, and what tshark calls them."""

Hides = Callable[[Record], Ranges]
"""Which bytes of a record's payload are not to be seen."""

_RULE = "=" * 67
_ARROWS, _COLOURS = ("→", "←"), ("cyan", "magenta")


def nothing_hidden(_: Record) -> Ranges:
    return ()


def tshark_lines(stream: Follow, style: str, hides: Hides) -> Iterator[str]:
    """What tshark -q -z follow,TRANSPORT,STYLE,NUMBER prints; `style` is a key of STYLES."""
    assert stream.ends is not None
    yield from ("", _RULE, f"Follow: {stream.transport},{STYLES[style]}")
    yield f"Filter: {stream.transport}.stream eq {stream.number}"
    for node, end in enumerate(stream.ends):
        yield f"Node {node}: {end_text(*end)}"
    positions = [0, 0]
    for shown in _shown_as_tshark(stream.records, hides):
        indent = "\t" if shown.node else ""
        if style == "text":
            yield f"{indent}{len(shown.octets)}"
            yield ascii_text(shown)
        elif style == "raw":
            yield indent + digits(shown)
        else:
            yield from (indent + line for line in hex_lines(shown, positions[shown.node]))
        positions[shown.node] += len(shown.octets)
    yield _RULE


def _shown_as_tshark(records: Iterable[Record], hides: Hides) -> Iterator[Shown]:
    """Records, and what tshark puts in the place of a hole; its text ends with a zero byte."""
    for record in records:
        if record.missing:
            yield Shown(record.node, f"{_missing(record)}\0".encode())
        yield Shown(record.node, record.payload, hides(record))


def _missing(record: Record) -> str:
    return f"[{record.missing} bytes missing in capture file]"


def print_stream(stream: Follow, protocols: Sequence[str], style: str, hides: Hides, target: Console) -> None:
    """All of it. `protocols` are those that it is taken for."""
    draw_lines(target, itertools.chain(_about(stream, protocols), _lines(stream, style, hides)))


def _about(stream: Follow, protocols: Sequence[str]) -> list[Line]:
    assert stream.ends is not None
    first, second = (end_text(*end) for end in stream.ends)
    tunnel = "" if stream.vni is None else f", VNI {stream.vni}"
    named = f", {' or '.join(protocols)}" if protocols else ""
    about = [Line(f"{stream.transport}.stream {stream.number}: {first} → {second}{tunnel}{named}", "bold")]
    if stream.records:
        time = stream.records[0].timestamp
        sizes = (size(sum(len(r.payload) for r in stream.records if r.node == node)) for node in (0, 1))
        counts = ", ".join(f"{_ARROWS[node]} {octets}" for node, octets in enumerate(sizes))
        about.append(Line(f"{date(time)} {time_of_day(time, 9)} UTC, {counts}", "dim"))
    else:
        about.append(Line("nothing was said in it", "dim"))
    return about


def _lines(stream: Follow, style: str, hides: Hides) -> Iterator[Line]:
    """Each line behind when it was said and by whom; what one node said at a stretch is one text."""
    begun = stream.records[0].timestamp if stream.records else 0
    for node, records in itertools.groupby(stream.records, key=lambda record: record.node):
        for part in _parts(list(records), style):
            shown = _together(part, hides)
            texts = [_missing(part[0])] if part[0].missing else []
            if style == "text":
                texts += unicode_text(shown).removesuffix("\n").split("\n")
            elif style == "raw":
                texts.append(digits(shown))
            else:
                texts.append(plural(len(shown.octets), "byte"))
            time = _seconds(part[0].timestamp - begun)
            for n, text in enumerate(texts):
                yield Line(f"{time if n == 0 else '':>13} {_ARROWS[node]} {text}", _COLOURS[node])
            if style == "hex":
                yield from (Line(f"  {text}", _COLOURS[node]) for text in hex_lines(shown, part[0].offset))


def _parts(records: list[Record], style: str) -> Iterator[list[Record]]:
    """Records that are shown as one text: all up to the next hole; of other styles each by itself."""
    part: list[Record] = []
    for record in records:
        if part and (record.missing or style != "text"):
            yield part
            part = []
        part.append(record)
    yield part


def _together(records: Sequence[Record], hides: Hides) -> Shown:
    hidden: list[tuple[int, int]] = []
    at = 0
    for record in records:
        hidden += [(at + start, at + end) for start, end in hides(record)]
        at += len(record.payload)
    return Shown(records[0].node, b"".join(record.payload for record in records), hidden)


def _seconds(nanoseconds: int) -> str:
    """Since the first record; frames that come late are before it."""
    whole, fraction = divmod(abs(nanoseconds), 10**9)
    return f"{'-' if nanoseconds < 0 else ''}{whole}.{fraction // 1000:06d}"


def stream_objects(stream: Follow, style: str, hides: Hides) -> Iterator[dict[str, Any]]:
    """A record each, as it goes into JSON."""
    assert stream.ends is not None
    ends = [end_text(*end) for end in stream.ends]
    for record in stream.records:
        hidden = hides(record)
        shown = Shown(record.node, record.payload, hidden)
        yield {
            "frame": record.number,
            "time": rfc3339(record.timestamp),
            "source": ends[record.node],
            "destination": ends[1 - record.node],
            "offset": record.offset,
            "missing": record.missing,
            "length": len(record.payload),
            "hidden": sum(end - start for start, end in hidden),
            "payload": unicode_text(shown) if style == "text" else digits(shown),
        }


def left_out_text(stream: Follow) -> str:
    return f"{plural(stream.left_out, 'byte')} more of the stream are left out; --memory gives room for them"
