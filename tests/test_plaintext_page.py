"""The table of docs/plaintext.md says what there is: every protocol, its ports and severities.

Oracle: the protocols themselves, and the source of their parsers.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import spanline.plaintext
from spanline.plaintext.claims import TCP, UDP, Claims
from spanline.plaintext.model import Plaintext, Severity
from spanline.plaintext.parsers import protocols

PAGE = Path(__file__).resolve().parent.parent / "docs/plaintext.md"
SOURCES = Path(spanline.plaintext.__file__).parent
ROW = re.compile(r"^\| `(?P<name>\w+)` (?P<title>[^|]+) \| (?P<ports>[^|]+) \| (?P<told>[^|]+) \|$", re.MULTILINE)
ROWS = {match["name"]: match for match in ROW.finditer(PAGE.read_text())}
SHARED = re.compile(r"from spanline\.plaintext(?:\.| import )(\w+)")


def severities(source: str) -> set[str]:
    return {severity.value for severity in Severity if re.search(rf"Severity\.{severity.name}\b", source)}


def source_of(protocol: Plaintext) -> str:
    module = protocol.parser.__module__.rpartition(".")[2]
    return (SOURCES / "parsers" / f"{module}.py").read_text()


def with_shared(source: str, seen: set[str]) -> str:
    """A parser's source and that of all it imports of what parsers share."""
    for name in set(SHARED.findall(source)) - seen - {"model"}:
        seen.add(name)
        source += with_shared((SOURCES / f"{name}.py").read_text(), seen)
    return source


def test_every_protocol_has_a_row() -> None:
    assert [name for name in ROWS if name not in {one.name for one in protocols()}] == []
    assert [one.name for one in protocols() if one.name not in ROWS] == []


@pytest.mark.parametrize("protocol", protocols(), ids=lambda one: one.name)
def test_a_row_is_true(protocol: Plaintext) -> None:
    row, claims = ROWS[protocol.name], Claims(protocols())
    number = protocols().index(protocol)
    assert row["title"] == protocol.title
    for transport, name in ((TCP, "tcp"), (UDP, "udp")):
        ports = {port for port in range(65536) if claims.is_expected(number, transport, port)}
        assert bool(ports) == (name in row["ports"])
        # "tcp, udp 161" are ports of both, "tcp 601, udp 514" of each its own.
        (told,) = re.findall(rf"{name}(?:, udp)? ([\d, ]+)", row["ports"]) or [""]
        named = {int(port) for port in re.findall(r"\d+", told)}
        assert named <= ports
        assert "and others" in row["ports"] or named == ports
    told_severities = {word for word in re.findall(r"\w+", row["told"]) if word in {one.value for one in Severity}}
    source = source_of(protocol)
    assert told_severities <= severities(with_shared(source, set()))
    if sum(one.parser.__module__ == protocol.parser.__module__ for one in protocols()) == 1:
        assert severities(source) <= told_severities
