"""Frames on a terminal, each as a tree: a block a layer, a line a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from spanline.cli.text import printable

if TYPE_CHECKING:
    from spanline.batch import Batch
    from spanline.fields import Field
    from spanline.fields.tree import Layer

_WIDTH = 80


def trees(batch: Batch) -> Iterator[str]:
    """The lines of each frame of `batch`: where in the frame each field stands, its name, value and label."""
    from spanline.fields.tree import layers_of

    for number, layers in zip(batch.numbers.tolist(), layers_of(batch), strict=True):
        yield "".join(f"{line}\n" for layer in layers for line in _block(number, layer)) + "\n"


def _block(number: int, layer: Layer) -> Iterator[str]:
    from spanline.fields.headers import Either

    if layer.name == "frame":
        yield f"Frame {number}"
    elif layer.length:
        where = " of the datagram" if layer.buffer else ""
        yield f"{layer.name}, bytes {_span(range(layer.offset, layer.offset + layer.length))}{where}"
    else:
        yield layer.name
    for field, text, place in layer.items:
        if isinstance(field.extract, Either):  # its two sides have been said
            continue
        where = _span(range(layer.offset + place.start, layer.offset + place.stop)) if place else ""
        yield _line(where, field, text)


def _line(where: str, field: Field, text: str) -> str:
    start = f"  {where:<9}{field.name:<28}"
    value = printable(text)
    if field.texts and text.isdecimal() and int(text) in field.texts:
        value += f" ({field.texts[int(text)]})"
    room = max(_WIDTH - len(start) - 1, 24)
    if len(value) > room:
        rest = f"… {len(value)} characters"
        value = value[: room - len(rest)] + rest
    line = f"{start} {value}"
    return f"{line}  {field.description}" if len(line) + 2 + len(field.description) <= _WIDTH else line


def _span(octets: range) -> str:
    return f"{octets.start}-{octets.stop - 1}" if len(octets) > 1 else str(octets.start)
