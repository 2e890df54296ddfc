"""Fields of frames as tshark -T fields prints them: a line a frame, made for whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanline import _field_text
from spanline.batch import Batch
from spanline.fields import occurrences
from spanline.fields.model import Field
from spanline.fields.text import texts

OCCURRENCES = ("all", "first", "last")


@dataclass(frozen=True, slots=True)
class Style:
    """How lines are written: tshark's -E.

    header      the names of the fields stand in the first line
    bom         a byte order mark stands before all
    separator   between fields, a byte
    aggregator  between several occurrences of one field, a byte
    quote       around what a frame has of a field, a byte or nothing
    occurrence  which one of several: one of OCCURRENCES
    """

    header: bool = False
    bom: bool = False
    separator: bytes = b"\t"
    aggregator: bytes = b","
    quote: bytes = b""
    occurrence: str = "all"

    def beginning(self, fields: Sequence[Field]) -> bytes:
        """What stands before the first frame's line."""
        names = self.separator.join(field.name.encode() for field in fields) + b"\n" if self.header else b""
        return (b"\xef\xbb\xbf" if self.bom else b"") + names


def lines(batch: Batch, fields: Sequence[Field], style: Style) -> bytes:
    """A line for each frame of `batch`. What a frame has not is empty; times of day are in the local time zone."""
    columns = []
    for field in fields:
        found = occurrences(batch, field)
        columns.append((found.packet, *texts(field, found)))
    separator, aggregator = style.separator[0], style.aggregator[0]
    quote = style.quote[0] if style.quote else 0
    made = _field_text.lines(columns, len(batch), separator, aggregator, quote, OCCURRENCES.index(style.occurrence))
    return made.tobytes()
