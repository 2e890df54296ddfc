"""Protocols that tell secrets in the clear, one a file.

A module of this package that has `PROTOCOLS`, a tuple of model.Plaintext, is found by itself.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spanline.keeping import kept, of_folders
from spanline.plaintext.model import Conversation, Parser, Pattern, Plaintext, Sender


@cache
def protocols() -> tuple[Plaintext, ...]:
    """All of them, by the name of their module."""
    return tuple(one for _, found in _modules() for one in found)


@cache
def listed() -> tuple[Plaintext, ...]:
    """protocols(), of which a module is imported when the first conversation is parsed by it."""
    folder = Path(__file__).parent
    source = of_folders(folder, folder.parent)
    return _unpack(_pack() if source is None else kept("parsers", source, _pack))


def _modules() -> list[tuple[str, tuple[Plaintext, ...]]]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [(name, getattr(importlib.import_module(f"{__name__}.{name}"), "PROTOCOLS", ())) for name in names]


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """A parser by its names."""

    module: str
    name: str

    def __call__(self, conversation: Conversation) -> Parser:
        parser: Parser = getattr(importlib.import_module(self.module), self.name)(conversation)
        return parser


def _pack() -> bytes:
    rows = []
    for _, found in _modules():
        for one in found:
            assert isinstance(one.parser, type)
            patterns = [
                (pattern.expression.decode("latin-1"), None if pattern.sender is None else pattern.sender.value)
                for pattern in one.patterns
            ]
            triggers = [trigger.decode("latin-1") for trigger in one.triggers]
            parser = one.parser.__module__, one.parser.__qualname__
            rows.append((one.name, one.title, parser, one.tcp_ports, one.udp_ports, patterns, triggers))
    return json.dumps(rows).encode()


def _unpack(content: bytes) -> tuple[Plaintext, ...]:
    return tuple(
        Plaintext(
            name,
            title,
            _Elsewhere(*parser),
            tuple(tcp_ports),
            tuple(udp_ports),
            tuple(
                Pattern(text.encode("latin-1"), None if sender is None else Sender(sender)) for text, sender in patterns
            ),
            tuple(trigger.encode("latin-1") for trigger in triggers),
        )
        for name, title, parser, tcp_ports, udp_ports, patterns, triggers in json.loads(content)
    )
