"""All that is known of frames, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from spanline.batch import PROTOCOLS, Batch
from spanline.fields import every
from spanline.fields.headers import At, Variants
from spanline.fields.model import Extract, Field, Kind
from spanline.fields.text import texts

# Layers of these names are parts of the header that they follow.
_PARTS = {
    "gre.key": "gre",
    "gre.sequence_number": "gre",
    "geneve.option": "geneve",
    **dict.fromkeys((name for name in PROTOCOLS if name.startswith("tcp.options.")), "tcp"),
}


@dataclass(slots=True)
class Layer:
    """One layer of a frame.

    name    of its protocol; "frame" for the frame itself
    offset  of its header, from the frame's first byte or, with `buffer` 1, from the first of the datagram that the
            frame completed
    length  of its header, in bytes
    items   its fields: each with its text, and with its place in the layer, None when it does not stand in the header
    """

    name: str
    offset: int = 0
    length: int = 0
    buffer: int = 0
    items: list[tuple[Field, str, range | None]] = field(default_factory=list)


def layers_of(batch: Batch) -> Iterator[list[Layer]]:
    """The layers of each frame of `batch`, outermost first. Fields are read and written for all frames at once."""
    frames = _empty_layers(batch)
    there = {name for name in ("streams", "analysis") if len(getattr(batch, name)) == len(batch)}
    for known in every():
        if known.kind == Kind.PROTOCOL or not known.requires <= there:
            continue
        for extract in known.extract.places if isinstance(known.extract, Variants) else (known.extract,):
            _add(batch, known, extract, frames)
    for layers in frames:
        yield _joined(layers)


def _add(batch: Batch, known: Field, extract: Extract, frames: list[dict[tuple[str, int], Layer]]) -> None:
    """Gives what `extract` finds of a field to the layers that have it."""
    found = extract(batch, None)
    letters, offsets = texts(known, found, for_json=True)
    owner, place = known.name.split(".")[0], None
    if isinstance(extract, At):
        owner, place = extract.protocol, range(extract.offset, extract.offset + extract.width)
    text = letters.tobytes()
    spans = pairwise(offsets.tolist())
    for packet, ordinal, (start, end) in zip(found.packet.tolist(), found.layer.tolist(), spans, strict=True):
        layer = frames[packet].get((owner, ordinal))
        if layer is not None:
            layer.items.append((known, text[start:end].decode(errors="replace"), place))


def _empty_layers(batch: Batch) -> list[dict[tuple[str, int], Layer]]:
    """For each frame its layers by protocol and ordinal, in order."""
    headers = batch.layers
    starts = np.where(headers["buffer"] == 0, batch.packets["frame_offset"][headers["packet"]], 0)
    if len(batch.datagrams):
        last = np.zeros(len(batch), np.int64)
        last[batch.datagrams["packet"]] = batch.datagrams["offset"]
        starts = np.where(headers["buffer"] == 0, starts, last[headers["packet"]])
    frames: list[dict[tuple[str, int], Layer]] = [{("frame", 1): Layer("frame")} for _ in range(len(batch))]
    columns = (headers["packet"], headers["protocol"], headers["ordinal"], headers["offset"] - starts.astype(np.int64),
               headers["length"], headers["buffer"])  # fmt: skip
    for packet, protocol, ordinal, offset, length, buffer in zip(*(one.tolist() for one in columns), strict=True):
        name = PROTOCOLS[protocol]
        frames[packet][name, ordinal] = Layer(name, offset, length, buffer)
    return frames


def _joined(layers: dict[tuple[str, int], Layer]) -> list[Layer]:
    """The layers in order, parts of headers with those."""
    joined: list[Layer] = []
    for layer in layers.values():
        whole = next((one for one in reversed(joined) if one.name == _PARTS.get(layer.name)), None)
        if whole is None:
            joined.append(layer)
            continue
        before = layer.offset - whole.offset
        for known, text, place in layer.items:
            whole.items.append((known, text, place and range(before + place.start, before + place.stop)))
    for layer in joined:
        layer.items.sort(key=lambda item: item[2].start if item[2] else 1 << 16)
    return joined
