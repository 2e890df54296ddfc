"""What can go wrong, and what to do about it.

    SpanlineError               everything that spanline raises on purpose
    ├── CaptureError            a capture cannot be read (also OSError)
    ├── OutputError             a result cannot be written (also OSError)
    └── UsageError              a request makes no sense (also ValueError)
        └── TextError           a filter or query does, at a place in its text

A `Problem` is not an exception: it is what was wrong with an input that was read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_ELLIPSIS = "…"
_WIDTH, _LONGEST = 80, 40


class SpanlineError(Exception):
    """Says what is wrong, where, and in `hint` what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def excerpt(self) -> tuple[str, ...]:
        """Lines for a terminal, at most 80 columns, that show the place of the fault; none when there is none."""
        return ()


class CaptureError(SpanlineError, OSError):
    """No capture could be read from what was named."""


class OutputError(SpanlineError, OSError):
    """A result could not be written."""


class UsageError(SpanlineError, ValueError):
    """A request makes no sense."""


class TextError(UsageError):
    """What somebody wrote in a language of ours makes no sense.

    text        all of it
    start, end  the place in it, as indices of characters; equal for the end of the text
    """

    def __init__(self, message: str, text: str, start: int, end: int, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.text = text
        self.start = start
        self.end = max(end, start + 1)

    @property
    def column(self) -> int:
        """Where it is, counted from 1."""
        return self.start + 1

    def excerpt(self) -> tuple[str, ...]:
        """The text and the mark below the place, at most 80 columns each: of a long text what is around.

        Whatever is not one column of a terminal wide is a question mark.
        """
        text = "".join(c if " " <= c <= "~" else " " if c in "\t\n\r" else "?" for c in self.text)
        first = 0
        if max(len(text), self.end) > _WIDTH:
            first = max(0, min(self.start - _WIDTH // 3, len(text) + 1 - _WIDTH))
        cut = text[first : first + _WIDTH]
        if first:
            cut = _ELLIPSIS + cut[1:]
        if first + _WIDTH < len(text):
            cut = cut[:-1] + _ELLIPSIS
        at = self.start - first
        return cut, " " * at + "^" + "~" * (min(self.end - self.start, _WIDTH - at) - 1)


def quoted(text: str) -> str:
    """What is wrong, in a message: in quotes, and of a long text only the beginning."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + _ELLIPSIS)


def nearest(word: str, names: Iterable[str] | Mapping[str, str]) -> str:
    """A hint with the known names that look most like `word`, "" when none does.

    names  as they are written, and in a mapping as they are shown, where several may be shown as one
    """
    if len(word) > _LONGEST:
        return ""
    import difflib  # takes long to import, and is only needed when something is wrong

    found = difflib.get_close_matches(word, names, 3, 0.7)
    if isinstance(names, Mapping):
        found = list(dict.fromkeys(names[name] for name in found))
    if not found:
        return ""
    return f"did you mean {' or '.join([', '.join(found[:-1]), found[-1]] if len(found) > 1 else found)}?"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with an input. What was whole has been read all the same.

    `path` is the file, `where` the place in it (a byte or a frame, "" for the whole file), `what` the fault and `hint`
    what to do. `kind` is one word for programs: unreadable, not-a-capture, empty, truncated, damaged, bomb, backwards,
    clock, caplen, interface, texts, tunnels, filter, parser, worker.
    """

    path: str
    kind: str
    what: str
    where: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = f", {self.where}" if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}{place}: {self.what}{hint}"
