"""Fields of frames to where the user wants them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spanline.cli.options import Output
from spanline.cli.text import printable
from spanline.output import open_stream

if TYPE_CHECKING:
    from spanline.batch import Batch
    from spanline.fields import Field
    from spanline.fields.lines import Style


def show_fields(
    batches: Iterator[tuple[Batch, int]], fields: Sequence[Field], style: Style, output: Output
) -> None:  # fmt: skip
    """Lines of `fields`, of so many frames of each batch."""
    from spanline.fields.lines import lines

    safe = _for_terminal if output.path is None and sys.stdout.isatty() else bytes
    with open_stream(output.path) as stream:
        stream.write(style.beginning(fields))
        for batch, here in batches:
            stream.write(safe(lines(first_frames(batch, here), fields, style)))
            stream.flush()  # of a pipe, the next frames may be a long time coming


def show_objects(
    batches: Iterator[tuple[Batch, int]], fields: Sequence[Field], occurrence: str, output: Output
) -> None:  # fmt: skip
    """A JSON array of the shape of tshark's, of so many frames of each batch; without fields, of all that is known."""
    from spanline.fields.objects import objects, whole_objects

    begun = False
    with open_stream(output.path) as stream:
        for batch, here in batches:
            some = first_frames(batch, here)
            text = objects(some, fields, occurrence) if fields else whole_objects(some)
            if text:
                stream.write(text if begun else b"[" + text[1:])
                begun = True
                stream.flush()
        stream.write(b"\n]\n" if begun else b"[]\n")


def show_trees(batches: Iterator[tuple[Batch, int]], output: Output) -> None:
    """Each frame as a tree, of so many frames of each batch."""
    from spanline.cli.tree_view import trees

    with open_stream(output.path) as stream:
        for batch, here in batches:
            for tree in trees(first_frames(batch, here)):
                stream.write(tree.encode())
            stream.flush()


def first_frames(batch: Batch, count: int) -> Batch:
    return batch if count == len(batch) else batch.select(np.arange(len(batch)) < count)


def _for_terminal(text: bytes) -> bytes:
    """Without anything that a terminal acts upon, but for the tabs and line ends between fields."""
    if text.isascii() and text.translate(None, b"\t\n").decode().isprintable():
        return text
    lines = text.decode(errors="replace").split("\n")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines).encode()
