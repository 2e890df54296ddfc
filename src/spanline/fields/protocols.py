"""Protocols as fields: present, and with the bytes of their headers."""

from __future__ import annotations

from spanline.batch import PROTOCOLS
from spanline.fields.headers import protocol

_PARTS = {"", "frame", "gre.key", "gre.sequence_number"}

FIELDS = tuple(protocol(name, name) for name in PROTOCOLS if name not in _PARTS)
