"""Protocols as fields: present, and with the bytes of their headers."""

from __future__ import annotations

from spanline.batch import PROTOCOLS
from spanline.fields.headers import Headers, protocol
from spanline.fields.model import Field, Kind

_PARTS = {"", "frame", "gre.key", "gre.sequence_number"}

_OPTIONS = tuple(name for name in PROTOCOLS if name.startswith(("tcp.options.", "geneve.option")))

FIELDS = (
    *(protocol(name, name) for name in PROTOCOLS if name not in _PARTS.union(_OPTIONS)),
    *(Field(name, Kind.BYTES, "Option of a header", Headers(name)) for name in _OPTIONS),
)
