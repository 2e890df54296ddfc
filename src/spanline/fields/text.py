"""Values of fields as tshark prints them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from spanline import _field_text
from spanline.fields.model import Field, Kind, Occurrences, Octets

Texts = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def texts(field: Field, found: Occurrences, *, for_json: bool = False) -> Texts:
    """The text of each of the field's occurrences: (letters, offsets), that of the nth is letters[offsets[n] :
    offsets[n + 1]]; UTF-8, but for strings that were not valid in the packet. With `for_json` strings are as they are:
    JSON has its own way to write line ends."""
    values = found.values
    if isinstance(values, Octets):
        if field.kind == Kind.PROTOCOL:
            return _repeated(field.name.encode(), len(found))
        if field.kind == Kind.STRING:
            return (values.data, values.offsets) if for_json else _field_text.escaped(values.data, values.offsets)
        return _field_text.hexadecimal(values.data, values.offsets)
    if field.kind == Kind.NONE:
        return _repeated(b"1", len(found))
    if field.kind in (Kind.UNSIGNED, Kind.BOOLEAN):
        return _field_text.numbers(values, field.digits)
    return _WRITE[field.kind](np.ascontiguousarray(values))


def _floats(values: npt.NDArray[np.float64]) -> Texts:
    return joined([f"{value:g}".encode() for value in values.tolist()])


_WRITE: dict[Kind, Callable[[npt.NDArray[Any]], Texts]] = {
    Kind.SIGNED: _field_text.signed,
    Kind.IPV4: _field_text.ipv4,
    Kind.IPV6: _field_text.ipv6,
    Kind.ETHER: _field_text.ether,
    Kind.ABSOLUTE_TIME: _field_text.local_times,
    Kind.RELATIVE_TIME: _field_text.seconds,
    Kind.FLOAT: _floats,
}


def _repeated(text: bytes, count: int) -> Texts:
    return np.frombuffer(text * count, np.uint8), np.arange(0, len(text) * count + 1, len(text), dtype=np.int64)


def joined(every: list[bytes]) -> Texts:
    """Texts one behind another."""
    offsets = np.cumsum([0, *map(len, every)], dtype=np.int64)
    return np.frombuffer(b"".join(every), np.uint8), offsets
