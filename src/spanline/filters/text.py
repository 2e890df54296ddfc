"""Quoted strings, characters and ranges of a display filter, read."""

from __future__ import annotations

import re

from spanline.errors import quoted
from spanline.filters.errors import FilterError
from spanline.filters.syntax import Span

_ESCAPE = re.compile(
    r"\\(?:(?P<octal>[0-7]{1,3})|x(?P<hex>[0-9A-Fa-f]{1,2})|u(?P<short>[0-9A-Fa-f]{4})|U(?P<long>[0-9A-Fa-f]{8})|(?P<one>.))",
    re.DOTALL,
)
_ONE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "'": 39, '"': 34, "\\": 92}
_NUMBER = r"\s*(-?(?:0[xX][0-9A-Fa-f]+|\d+))\s*"
_RANGE = re.compile(rf"{_NUMBER}-{_NUMBER}|(?:{_NUMBER}|\s*):(?:{_NUMBER}|\s*)|{_NUMBER}")
_LARGEST = (1 << 31) - 1


def unescape(body: str, text: str, at: int) -> bytes:
    """The bytes of what stands between quotes; `at` is where in `text` it begins. Text is in UTF-8."""
    if "\\" not in body:
        return body.encode(errors="surrogateescape")
    parts: list[bytes] = []
    done = 0
    for escape in re.finditer(r"\\", body):
        if escape.start() < done:
            continue
        parts.append(body[done : escape.start()].encode(errors="surrogateescape"))
        match = _ESCAPE.match(body, escape.start())
        parts.append(_escaped(match, text, at + escape.start()))
        done = match.end() if match else len(body)
    parts.append(body[done:].encode(errors="surrogateescape"))
    return b"".join(parts)


def _escaped(match: re.Match[str] | None, text: str, at: int) -> bytes:
    if match is not None:
        if match["octal"] is not None:
            code = int(match["octal"], 8)
            if code > 255:
                raise FilterError(f"{match[0]} is no byte: octal escapes end at \\377", text, at, at + len(match[0]))
            return bytes([code])
        if match["hex"] is not None:
            return bytes([int(match["hex"], 16)])
        if match["short"] is not None or match["long"] is not None:
            point = int(match["short"] or match["long"], 16)
            if point > 0x10FFFF or 0xD800 <= point < 0xE000:
                raise FilterError(f"{match[0]} is no character of Unicode", text, at, at + len(match[0]))
            return chr(point).encode()
        if match["one"] in _ONE:
            return bytes([_ONE[match["one"]]])
    shown = text[at : at + 2]
    hint = f'write \\{shown} for a backslash, or r"…" for a string without escapes'
    raise FilterError(f"{shown} is no escape sequence", text, at, at + 2, hint=hint)


def ranges(body: str, text: str, at: int) -> tuple[Span, ...]:
    """What stands in brackets: 2, 0:4, 1-3, :4, 4:, also several with commas. `at` is where in `text` it begins."""
    spans = []
    for part in body.split(","):
        spans.append(_range(part, text, at))
        at += len(part) + 1
    return tuple(spans)


def _range(part: str, text: str, at: int) -> Span:
    match = _RANGE.fullmatch(part)
    end = at + max(len(part), 1)
    if match is None:
        what = "brackets need a place" if not part.strip() else f"{quoted(part.strip())} is not a range"
        raise FilterError(what, text, at, end, hint="write [4], [0:4] for 4 bytes from 0, [1-3], [:4] or [4:]")
    low, high, first, length, single = (None if group is None else _integer(group) for group in match.groups())
    if any(number is not None and abs(number) > _LARGEST for number in (low, high, first, length, single)):
        raise FilterError(f"{quoted(part.strip())} is beyond any frame", text, at, end)
    if single is not None:
        return Span(single, 1)
    if low is not None and high is not None:
        if (low < 0) != (high < 0):
            raise FilterError("a range has both ends from the beginning or both from the end", text, at, end)
        if low >= high:
            hint = f"write [{low}] for one" if low == high else f"write {high}-{low}"
            raise FilterError(f"the range {quoted(part.strip())} ends before it begins", text, at, end, hint=hint)
        return Span(low, last=high)
    if length is not None and length <= 0:
        raise FilterError(f"a length of {length} is not positive", text, at, end, hint="[4:2] is 2 bytes from 4")
    return Span(first or 0, length)


def _integer(text: str) -> int:
    digits = text.lstrip("-")
    if digits[:2].lower() == "0x":
        value = int(digits, 16)
    else:
        octal = len(digits) > 1 and digits[0] == "0" and set(digits) <= set("01234567")
        value = int(digits, 8 if octal else 10)
    return -value if text[0] == "-" else value
