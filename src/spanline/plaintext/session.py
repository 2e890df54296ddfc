"""A session at a terminal as its user saw it: what was printed, what was typed, and the commands that this made."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MOST_TEXT = 1 << 20
"""Characters of a session that are kept."""

MASK = "••••••"
"""Stands for a secret, whatever its length."""


class Who(StrEnum):
    TYPED = "typed"
    PRINTED = "printed"


@dataclass(slots=True)
class Event:
    """One thing that was seen on the screen.

    text    typed: a line as it was meant, without the Enter behind it; printed: "\\n" stands where a line ends
    time    when it was complete, ns since the epoch
    frame   number of the frame that completed it
    secret  the text is one
    """

    who: Who
    text: str = field(repr=False)
    time: int
    frame: int
    secret: bool = False


@dataclass(slots=True)
class Command:
    """A command line after the login, as the user meant it.

    from_echo  keys alone do not tell it (completion, history): this is what the server showed of it
    """

    text: str
    time: int
    frame: int
    from_echo: bool = False


class Session:
    """What happened, in order of time. Keeps MOST_TEXT characters.

    events         what was typed and printed
    commands       command lines, among them what was typed into programs; no secrets
    window         columns and lines of the client's window, None when it did not say
    terminal_type  of the client, "" when it did not say
    cut            there was more than is kept
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.commands: list[Command] = []
        self.window: tuple[int, int] | None = None
        self.terminal_type = ""
        self.cut = False
        self._room = MOST_TEXT
        self._line, self._told = 0, ""

    def line(self, number: int, text: str, fresh: int, end: str, time: int, frame: int) -> None:
        """The line `number` of the screen is `text`, of which the last `fresh` characters are no echo. What was told of
        it before is not told again, unless something else stands there. `end` is "\\n" where the line ends."""
        is_same = number == self._line and (text.startswith(self._told) or self._told.startswith(text))
        begin = len(self._told) if is_same else 0
        self._line, self._told = number, text
        part = text[max(begin, len(text) - fresh) :] if fresh else ""
        if part or end:
            self._add(Event(Who.PRINTED, part + end, time, frame))

    def typed(self, text: str, time: int, frame: int, secret: bool = False) -> Event:
        event = Event(Who.TYPED, text, time, frame, secret)
        self._add(event)
        return event

    def _add(self, event: Event) -> None:
        # An event has a price of its own, so that empty ones are bounded, too.
        self._room -= len(event.text) + 16
        if self._room < 0:
            self.cut = True
        else:
            self.events.append(event)

    def command(self, command: Command) -> None:
        if not self.cut:
            self.commands.append(command)

    def withdraw(self, command: Command) -> None:
        """It was none."""
        if command in self.commands:
            self.commands.remove(command)

    def text(self, mask: str | None = MASK) -> str:
        """All of it as it stood on the screen; secrets as `mask`, or as they are where it is None."""
        parts: list[str] = []
        entered = False
        for event in self.events:
            if entered and not event.text.startswith("\n"):
                parts.append("\n")
            entered = event.who is Who.TYPED
            parts.append(mask if event.secret and mask is not None else event.text)
        return "".join(parts)
