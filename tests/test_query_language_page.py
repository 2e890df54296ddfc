"""docs/language.md says what is so. Oracle: none but itself: every query on the page is read, every table compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spanline.query.errors import QueryError
from spanline.query.properties import FLOW_TYPES, Entity, entities, key
from spanline.query.reading import parse
from spanline.query.tree import Kind, Property

PAGE = (Path(__file__).resolve().parent.parent / "docs/language.md").read_text(encoding="utf-8")
VALUES = {
    Kind.TEXT: "text",
    Kind.NUMBER: "number",
    Kind.ADDRESS: "address or network",
    Kind.MAC: "MAC address",
    Kind.PROTOCOL: "name or number",
    Kind.BYTES: "bytes",
    Kind.RATE: "bit/s",
    Kind.PACKETS: "packets",
    Kind.DURATION: "duration",
    Kind.RATIO: "ratio",
    Kind.TIME: "time",
    Kind.TAGS: "flow type",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def rows(heading: str) -> list[list[str]]:
    """The cells of the table with this heading."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def others(entity: Entity, of: Property) -> str:
    """What else a property is called."""
    return ", ".join(word for word, one in entity.properties.items() if one is of and word != key(of.name))


@pytest.mark.parametrize("text", [line for block in blocks("query") for line in block.splitlines()])
def test_queries_on_the_page_are_right(text: str) -> None:
    assert (parse(text).unanswered is not None) == text.startswith("OS")


@pytest.mark.parametrize("block", blocks("error"))
def test_errors_on_the_page_are_those(block: str) -> None:
    message, text, mark = block.splitlines()
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert str(caught.value) == message
    assert caught.value.excerpt() == (text, mark)


def test_entities_on_the_page_are_all() -> None:
    held = [one for one in entities().values() if one.is_held]
    assert rows("entity | also | properties") == [
        [
            one.label,
            ", ".join(word for word in one.words if word != key(one.label)),
            "the next table" if one.name == "flows" else ", ".join(own.name for own in one.own() if own.is_held),
        ]
        for one in held
    ]
    told = " ".join(PAGE.partition("## What is not answered")[2].split())
    assert not [one.label for one in entities().values() if not one.is_held and one.label not in told]


def test_properties_on_the_page_are_all() -> None:
    flows = entities()["flows"]
    expected = [
        [f"(Source, Destination) {one.name}" if one.either else one.name, VALUES[one.kind], others(flows, one)]
        for one in flows.own()
        if one.is_held and (one.either or key(one.name) not in sided(flows))
    ]
    assert [[*row, ""][:3] for row in rows("property | value | also")] == expected


def sided(flows: Entity) -> set[str]:
    """Properties of one end, of which the page has both in one row."""
    return {f"{side} {key(one.name)}" for one in flows.own() if one.either for side in ("source", "destination")}


def test_flow_types_on_the_page_are_all() -> None:
    table = PAGE.partition("Flow types:\n\n")[2].partition("\n\n")[0]
    first = ", ".join(line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:])
    assert sorted(re.sub(r" \(.*?\)", "", first).split(", ")) == sorted(FLOW_TYPES)


def examples(section: str, row: str = "") -> list[str]:
    """What stands in backquotes in the second cells of a section's tables, of one row or of all."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith(f"| {row}") and line.count("`") > 1]
    return [example for line in lines for example in re.findall("`([^`]+)`", line)]


OF_VALUES = [
    ("bytes", "bytes > {}"),
    ("rates", "byte rate > {}"),
    ("durations", "rtt > {}"),
    ("ratios", "retransmission ratio > {}"),
    ("addresses", "ip = {}"),
    ("MAC", "mac = {}"),
    ("protocols", "protocol = {}"),
    ("times", "first seen > {}"),
]
SHORT = [
    *(f"flows {example}" for example in examples("When") if example != "in last"),
    *(f"flows where {example}" for example in examples("Conditions") if example.count(" ") > 1),
    *(f"flows where port {example} 22" for example in examples("Conditions", "comparison")),
    *(f"{example} flows" for example in examples("What is shown") if example.endswith(" of")),
    *(example for example in examples("What is shown") if " of " in example),
    *(f"flows where {form.format(example)}" for row, form in OF_VALUES for example in examples("Values", row)),
]


@pytest.mark.parametrize("text", SHORT)
def test_examples_in_tables_are_right(text: str) -> None:
    assert parse(text).unanswered is None
    assert len(SHORT) > 50
