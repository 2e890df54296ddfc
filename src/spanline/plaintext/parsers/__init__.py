"""Protocols that tell secrets in the clear, one a file.

A module of this package that has `PROTOCOLS`, a tuple of model.Plaintext, is found by itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from spanline.plaintext.model import Plaintext


@cache
def protocols() -> tuple[Plaintext, ...]:
    """All of them, by the name of their module."""
    found: list[Plaintext] = []
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        found += getattr(importlib.import_module(f"{__name__}.{module}"), "PROTOCOLS", ())
    return tuple(found)
