"""The last line of a live capture, which accounts for every frame."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"spanline: offered (?P<offered>[\d,]+) = read (?P<read>[\d,]+) \+ dropped (?P<dropped>[\d,]+)"
    r"(?: \((?P<causes>[^)]+)\))?; "
    r"read (?P<read_again>[\d,]+) = decoded (?P<decoded>[\d,]+) \+ undecodable (?P<undecodable>[\d,]+)"
    r"(?:; filtered out (?P<filtered>[\d,]+) of decoded)?"
)


@dataclass(frozen=True)
class Account:
    """Frames: what came, what was read and lost of it, and what a filter left out of what was decoded."""

    offered: int
    read: int
    dropped: int
    filtered: int


def account(said: str) -> Account:
    """Of what a command wrote on standard error. Raises AssertionError when there is no such line, or sums differ."""
    lines = [match for line in said.splitlines() if (match := _LINE.fullmatch(line))]
    assert len(lines) == 1, said
    numbers = lines[0].groupdict()
    lost = numbers.pop("causes") or ""
    found = {name: int((text or "0").replace(",", "")) for name, text in numbers.items()}
    causes = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", lost)]
    assert found["offered"] == found["read"] + found["dropped"], said
    assert found["read"] == found["read_again"] == found["decoded"] + found["undecodable"], said
    assert sum(causes) == found["dropped"], said
    assert found["filtered"] <= found["decoded"], said
    return Account(found["offered"], found["read"], found["dropped"], found["filtered"])
