"""Application protocols, one a file: what tells them, and how their messages follow one another.

A module of this package that has `PROTOCOLS`, a tuple of language.Application, is found by itself.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spanline.protocols.language import Application

_NOT_PROTOCOLS = ("compiling", "first_bytes", "language", "patterns", "tables")


@cache
def applications() -> tuple[Application, ...]:
    """All of them, by the name of their module."""
    import importlib  # seldom needed: tables.py keeps what is made of them
    import pkgutil

    found: list[Application] = []
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        if name not in _NOT_PROTOCOLS:
            found += importlib.import_module(f"{__name__}.{name}").PROTOCOLS
    return tuple(found)
