"""What can go wrong, and what to do about it.

    SpanlineError               everything that spanline raises on purpose
    ├── CaptureError            a capture cannot be read (also OSError)
    ├── OutputError             a result cannot be written (also OSError)
    └── UsageError              a request makes no sense (also ValueError)

A `Problem` is not an exception: it is what was wrong with an input that was read as far as it goes.
"""

from __future__ import annotations

from dataclasses import dataclass


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
