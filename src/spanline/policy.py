"""Policies: which protocols shall not be in a capture, by a file that a user writes."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spanline.batch import PROTOCOLS
from spanline.errors import UsageError
from spanline.protocols.tables import application_set

EXAMPLE = """\
# Names are those of `spanline stats hierarchy`. Each unwanted one has a reason, which may be empty.
[unwanted]
bittorrent = "nobody shares files from a server"
telnet = "passwords in the clear"
"""
"""A policy file. One that begins with `allowed = ["dns", "tls"]` does not want anything else."""

MOST_BYTES = 1 << 20

KNOWN = frozenset({*PROTOCOLS, *application_set().names, "_ws.malformed"} - {"", "frame"})
"""The names that a policy may use."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which protocols are unwanted.

    unwanted   reasons by protocol, "" where none was given
    allowed    when it is not None: what is neither one of these, nor around or inside one of these, is unwanted too
    """

    unwanted: Mapping[str, str] = field(default_factory=dict)
    allowed: frozenset[str] | None = None

    def reasons(self, ways: Sequence[tuple[str, ...]]) -> list[str | None]:
        """For each node of a hierarchy, given by the protocols on the way to it, why it is unwanted; None where it may
        be."""
        around: set[tuple[str, ...]] = set()
        for way in ways if self.allowed is not None else ():
            if way[-1] in (self.allowed or ()):
                around.update(way[:depth] for depth in range(1, len(way) + 1))
        return [self._reason(way, around) for way in ways]

    def _reason(self, way: tuple[str, ...], around: Collection[tuple[str, ...]]) -> str | None:
        if way[-1] in self.unwanted:
            return self.unwanted[way[-1]]
        if self.allowed is None or way in around or not self.allowed.isdisjoint(way):
            return None
        return "not allowed"


def read_policy(path: str) -> Policy:
    """The policy in the TOML file `path`; EXAMPLE shows one.

    Raises UsageError for what cannot be read or makes no sense.
    """
    try:
        with Path(path).open("rb") as file:
            octets = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(octets) > MOST_BYTES:
        raise UsageError(f"{path}: larger than 1 MiB", hint="is this a policy?")
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: not UTF-8 text", hint="save it as UTF-8") from error
    try:
        return _policy(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, text, error) from error
    except RecursionError as error:
        raise UsageError(f"{path}: lists inside lists without end", hint="a policy needs none") from error
    except _Mistake as mistake:
        raise UsageError(f"{path}{_place(text, mistake.word)}: {mistake}", hint=mistake.hint) from mistake


class _Mistake(Exception):
    """What is wrong with a policy, and the word where it is."""

    def __init__(self, what: str, hint: str, word: str) -> None:
        super().__init__(what)
        self.hint = hint
        self.word = word


def _policy(content: Mapping[str, Any]) -> Policy:
    for key in content:
        if key not in ("unwanted", "allowed"):
            raise _Mistake(f"no setting is called {key!r}", _near(key, ("unwanted", "allowed")), key)
    if not content:
        raise _Mistake("nothing in it is a policy", 'begin with [unwanted] and lines as telnet = "why not"', "")
    unwanted, allowed = content.get("unwanted", {}), content.get("allowed")
    if not isinstance(unwanted, dict):
        raise _Mistake("unwanted is not a table", 'write [unwanted], and below it telnet = "why not"', "unwanted")
    if allowed is not None and not isinstance(allowed, list):
        raise _Mistake("allowed is not a list", 'write allowed = ["dns", "tls"]', "allowed")
    for name, reason in unwanted.items():
        if isinstance(reason, dict):
            whole = f"{name}.{next(iter(reason), '')}"
            raise _Mistake(
                f"{name} has a table and not a reason", f'quote names that have points: "{whole}" = "…"', name
            )
        if not isinstance(reason, str):
            raise _Mistake(f"the reason for {name} is not text", f'write {name} = "why not", or {name} = ""', name)
        _check_name(name)
    for name in allowed or ():
        if not isinstance(name, str):
            raise _Mistake("allowed has something that is not a name", 'write allowed = ["dns", "tls"]', "allowed")
        _check_name(name)
        if name in unwanted:
            raise _Mistake(f"{name} is allowed and unwanted", "leave one of them out", name)
    if allowed is not None and not allowed:
        raise _Mistake("allowed is empty", "name what is allowed, or leave it out", "allowed")
    return Policy(unwanted, None if allowed is None else frozenset(allowed))


def _check_name(name: str) -> None:
    if name not in KNOWN:
        raise _Mistake(f"no protocol is called {name!r}", _near(name, KNOWN), name)


def _near(name: str, names: Collection[str]) -> str:
    close = difflib.get_close_matches(name.lower(), sorted(names), n=3, cutoff=0.65)
    return f"did you mean {' or '.join(close)}?" if close else "spanline stats hierarchy shows the names there are"


def _place(text: str, word: str) -> str:
    """Where `word` stands first, outside comments: ", line 3, column 1"."""
    pattern = re.compile(rf"(?<![\w.-]){re.escape(word)}(?![\w-])") if word else None
    for number, line in enumerate(text.splitlines(), 1):
        found = pattern.search(line.partition("#")[0]) if pattern else None
        if found:
            return f", line {number}, column {found.start() + 1}"
    return ""


def _not_toml(path: str, text: str, error: tomllib.TOMLDecodeError) -> UsageError:
    what, _, place = str(error).removesuffix(")").rpartition(" (at ")
    if place == "end of document":
        place = f"line {text.count(chr(10)) + 1}"
    what = what[:1].lower() + what[1:]
    return UsageError(f"{path}, {place}: {what}", hint='a line of a policy is telnet = "why not"')
