"""What is wrong with a display filter, and where in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from spanline.errors import UsageError

_ELLIPSIS = "…"
_WIDTH, _LONGEST = 80, 40


class FilterError(UsageError):
    """A display filter makes no sense.

    text        the filter
    start, end  the place in it, as indices of characters; equal for the end of the filter
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
        """The filter and the mark below the place, at most 80 columns each: of a long filter what is around.

        Whatever is not one column of a terminal wide is a question mark.
        """
        text = "".join(c if " " <= c <= "~" else " " if c in "\t\n\r" else "?" for c in self.text)
        first = 0
        if len(text) > _WIDTH:
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


def nearest(word: str, names: Iterable[str]) -> str:
    """A hint with the known names that look most like `word`, "" when none does."""
    found = difflib.get_close_matches(word, names, 3, 0.7)
    if not found:
        return ""
    return f"did you mean {' or '.join([', '.join(found[:-1]), found[-1]] if len(found) > 1 else found)}?"
