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


def first_frames(batch: Batch, count: int) -> Batch:
    return batch if count == len(batch) else batch.select(np.arange(len(batch)) < count)


def _for_terminal(text: bytes) -> bytes:
    """Without anything that a terminal acts upon, but for the tabs and line ends between fields."""
    if text.isascii() and text.translate(None, b"\t\n").decode().isprintable():
        return text
    lines = text.decode(errors="replace").split("\n")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines).encode()
