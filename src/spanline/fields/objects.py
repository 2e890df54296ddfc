"""Frames as JSON objects of the shape of tshark -T json."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from spanline import _field_text
from spanline.batch import Batch
from spanline.fields import occurrences
from spanline.fields.lines import OCCURRENCES
from spanline.fields.model import Field, Occurrences
from spanline.fields.text import Texts, joined, texts
from spanline.fields.tree import Layer, layers_of

_BEGIN = """,
  {{
    "_index": "packets-{day}",
    "_type": "doc",
    "_score": null,
    "_source": {{
      "layers": {{
        """
_END = """
      }
    }
  }"""
_HOUR = 3600 * 10**9
# What stands in JSON as it is; anything else is escaped, also what only a terminal would mind.
_PLAIN = np.isin(np.arange(256), [32, 33, *range(35, 92), *range(93, 127)])


def objects(batch: Batch, fields: Sequence[Field], occurrence: str) -> bytes:
    """An object for each frame, each behind a comma: what it has of `fields` as lists of texts."""
    made = []
    for day, part in _days(batch):
        columns = []
        for field in fields:
            found = occurrences(part, field)
            columns.append((found.packet, *_escaped(field, found)))
        names = [json.dumps(field.name).encode() for field in fields]
        around = (_BEGIN.format(day=day), ",\n        ", _END, ': [\n          "', '",\n          "', '"\n        ]')
        parts = [text.encode() for text in around]
        made.append(_field_text.objects(columns, names, len(part), parts, OCCURRENCES.index(occurrence)).tobytes())
    return b"".join(made)


def whole_objects(batch: Batch) -> bytes:
    """An object for each frame, each behind a comma, with all that is known of each of its layers.

    What a frame has several times, a field or a layer, stands in a list, as with tshark's --no-duplicate-keys.
    """
    made = []
    for day, part in _days(batch):
        for layers in layers_of(part):
            text = json.dumps(_merged((layer.name, _members(layer)) for layer in layers), indent=2)
            indented = text[1:-1].strip().replace("\n", "\n      ")
            made.append((_BEGIN.format(day=day) + indented + _END).encode())
    return b"".join(made)


def _members(layer: Layer) -> dict[str, object]:
    return _merged((field.name, text) for field, text, _ in layer.items)


def _merged(pairs: Iterator[tuple[str, object]]) -> dict[str, object]:
    merged: dict[str, object] = {}
    for name, value in pairs:
        if name not in merged:
            merged[name] = value
        elif isinstance(known := merged[name], list):
            known.append(value)
        else:
            merged[name] = [known, value]
    return merged


def _days(batch: Batch) -> Iterator[tuple[str, Batch]]:
    """The parts of `batch` of one day each, by local time, in order."""
    hours, hour = np.unique(batch.packets["timestamp"] // _HOUR, return_inverse=True)
    days = [time.strftime("%Y-%m-%d", time.localtime(number * 3600)) for number in hours.tolist()]
    distinct = sorted(set(days))
    number = np.array([distinct.index(day) for day in days], np.int64)[hour] if len(batch) else np.empty(0, np.int64)
    if len(distinct) <= 1:
        yield from ((day, batch) for day in distinct)
        return
    ends = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(batch)]
    place = np.arange(len(batch))
    for start, end in pairwise(ends):
        yield distinct[int(number[start])], batch.select((place >= start) & (place < end))


def _escaped(field: Field, found: Occurrences) -> Texts:
    letters, offsets = texts(field, found, for_json=True)
    if _PLAIN[letters].all():
        return letters, offsets
    every = (letters[start:end].tobytes().decode(errors="replace") for start, end in pairwise(offsets.tolist()))
    return joined([json.dumps(text)[1:-1].replace("\x7f", "\\u007f").encode() for text in every])
