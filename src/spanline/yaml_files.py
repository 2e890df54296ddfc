"""YAML files that users write, read event by event: nothing is built of a file that nobody needs, neither what aliases
repeat nor lists inside lists without end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

import yaml

from spanline.errors import UsageError
from spanline.system import BINARY, NO_WAIT

_DEEPEST = 16
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlMistake(Exception):
    """Why a text is not read: `what` is wrong, at `line` and `column` from 1 (0 unknown), and in `hint` what to do.

    `kind` is one word: encoding, control, alias, tag, document, depth, tab or syntax; content where it is
    YAML, but not what was asked for.
    """

    def __init__(self, kind: str, what: str, hint: str, line: int = 0, column: int = 0) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.hint = hint
        self.line = line
        self.column = column


def read_bounded(path: str, most_bytes: int, what: str) -> bytes:
    """The content of a file, which is called `what` to who names another one. Raises UsageError for what is no file,
    cannot be read or is larger."""
    hint = f"name a file with {what}"
    try:
        # A FIFO would wait for somebody who writes.
        with open(os.open(path, os.O_RDONLY | NO_WAIT | BINARY), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"cannot read {path}: not a file", hint=hint)
            octets = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}", hint=hint) from None
    if len(octets) > most_bytes:
        raise UsageError(f"{path}: larger than {most_bytes >> 20} MiB", hint=f"are these {what}?")
    return octets


def text_of(octets: bytes) -> str:
    """UTF-8 as text that YAML can have. Raises YamlMistake."""
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise YamlMistake("encoding", "not UTF-8 text", "save it as UTF-8", line) from None
    foreign = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if foreign is not None:
        line = text.count("\n", 0, foreign.start()) + 1
        raise YamlMistake("control", f"the control character U+{ord(foreign[0]):04X}", "leave it out", line)
    return text


def events(text: str) -> Iterator[Any]:
    """The nodes of the only document, and the ends of its lists and tables. Raises YamlMistake."""
    documents = depth = 0
    event: Any
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            place = event.start_mark.line + 1, event.start_mark.column + 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                hint = "write out what is meant, or put it in quotes"
                raise YamlMistake("alias", "an anchor or an alias (& or *)", hint, *place)
            if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
                raise YamlMistake("tag", "a tag (!)", "write plain text, or put it in quotes", *place)
            documents += isinstance(event, yaml.DocumentStartEvent)
            if documents > 1:
                raise YamlMistake("document", "a second document (---)", "put all into one", *place)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise YamlMistake("depth", "lists inside lists without end", "leave them out", *place)
            if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        is_tab = any(word in str(error.problem) for word in ("tab character", "'\\t'"))
        kind, hint = ("tab", "indent with spaces") if is_tab else ("syntax", "put texts in single quotes")
        raise YamlMistake(kind, str(error.problem or error.context), hint, *place) from None
    except yaml.YAMLError:
        raise YamlMistake("syntax", "no YAML", "save it as UTF-8 text") from None
