"""What -e and -E mean as objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spanline.errors import UsageError

if TYPE_CHECKING:
    from spanline.fields import Field
    from spanline.fields.lines import Style

_YES = {"y": True, "Y": True, "n": False, "N": False}
_QUOTES = {"d": b'"', "s": b"'", "n": b""}
_OCCURRENCES = {"f": "first", "l": "last", "a": "all"}
_OPTIONS = {
    "header": "y or n",
    "bom": "y or n",
    "separator": "/t, /s or one character",
    "aggregator": "/s or one character",
    "quote": "d, s or n",
    "occurrence": "f, l or a",
}
# Of tshark's names, what spanline will decode one day.
_NOT_YET = ("mpls", "gtp")


def nearest(word: str, known: Sequence[str]) -> str:
    """Those of `known` that look most like `word`, for a hint; "" when none does."""
    from difflib import get_close_matches

    found = get_close_matches(word.lower(), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(found)}?" if found else ""


def fields_named(names: Sequence[str]) -> list[Field]:
    """The fields of -e, in their order. Raises UsageError for a name that no field has."""
    from spanline.fields import find
    from spanline.fields import names as known

    fields = []
    for n, name in enumerate(names, start=1):
        field = find(name)
        if field is None:
            place = f"-e {name!r}" + (f", the {n}. of {len(names)}" if len(names) > 1 else "")
            family = name.split(".")[0]
            if family in _NOT_YET:
                raise UsageError(f"{place}: {family} is not decoded yet")
            if "," in name or " " in name:
                raise UsageError(f"{place}: not one field", hint="give each its own -e: -e ip.src -e ip.dst")
            hint = nearest(name, known()) or "names are those of tshark: ip.src, tcp.dstport"
            raise UsageError(f"{place}: no such field", hint=hint)
        fields.append(field)
    return fields


def line_style(options: Sequence[str]) -> Style:
    """The Style that several -E ask for. Raises UsageError for one that is not NAME=VALUE as tshark has them."""
    from spanline.fields.lines import Style

    style = Style()
    for option in options:
        name, equals, value = option.partition("=")
        if name not in _OPTIONS:
            hint = nearest(name, list(_OPTIONS)) or f"there are {', '.join(_OPTIONS)}"
            raise UsageError(f"-E {option!r}: no such option", hint=hint)
        wanted = _value(name, value) if equals else None
        if wanted is None:
            raise UsageError(f"-E {option!r}: not a value of {name}", hint=f"{name}= {_OPTIONS[name]}")
        style = replace(style, **{name: wanted})
    return style


def _value(name: str, value: str) -> Any:
    """What `value` means, None for nothing."""
    if name in ("header", "bom"):
        return _YES.get(value)
    if name == "quote":
        return _QUOTES.get(value)
    if name == "occurrence":
        return _OCCURRENCES.get(value)
    named = {"/t": b"\t", "/s": b" "} if name == "separator" else {"/s": b" "}
    octets = named.get(value, value.encode())
    return octets if len(octets) == 1 else None
