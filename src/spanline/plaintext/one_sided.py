"""Who logged in with what, where only the client's side of a session was captured: no question is known, only lines.

- The first line is the account and the second the secret, unless the second is a command that asks for a secret
  ("enable"): then there is no account, as on a router's line with a password alone. Where the client told an account
  by itself (NEW-ENVIRON), and the first line is another, that is the secret.
- The same account again, or one with a letter more, less or changed, says that the secret was refused. So does a line
  before another that only was typed without being shown, where the server says for each line whether it shows it.
- Any other line is a command: the secret was accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from spanline.plaintext.attempts import Attempts
from spanline.plaintext.line_editor import End, Line
from spanline.plaintext.model import Outcome
from spanline.plaintext.prompts import asks_for
from spanline.plaintext.screen import text_of


class Role(Enum):
    ACCOUNT = auto()
    SECRET = auto()
    COMMAND = auto()


class OneSided:
    """Takes the client's lines in order. Each comes back by `tell`, with what it is."""

    def __init__(self, attempts: Attempts, tell: Callable[[Line, Role], None], user: str) -> None:
        self._attempts = attempts
        self._tell = tell
        self._user = user
        self._account: str | None = None
        self._expected = Role.ACCOUNT
        self._first: Line | None = None
        self._held: Line | None = None
        self._shown = False

    def take(self, line: Line) -> None:
        if line.end is End.GIVEN_UP:
            self._give_up(line)
            return
        self._shown |= bool(line.octets) and not line.hidden
        if self._held is not None:
            held, self._held = self._held, None
            again = self._is_account(held) or (line.hidden and self._shown and not held.hidden)
            self._follow(held, again)
        if self._expected is Role.COMMAND:
            # What it is, the next one tells.
            self._held = line if line.octets else None
        elif self._expected is Role.SECRET:
            self._give(line)
        elif line.octets and text_of(line.octets).isprintable():
            self._name(line)

    def finish(self) -> None:
        """No more lines come."""
        if self._held is not None:
            held, self._held = self._held, None
            self._follow(held, self._is_account(held))
        if self._first is not None:
            self._tell(self._first, Role.ACCOUNT)
        self._attempts.resolve(Outcome.UNKNOWN)

    def _give_up(self, line: Line) -> None:
        """Ctrl-C: whoever asks begins again."""
        if self._expected is not Role.SECRET:
            if line.octets:
                self._tell(line, self._expected)
            return
        if self._first is not None:
            self._attempts.account(text_of(self._first.octets), self._first.frame, inferred=True)
            self._tell(self._first, Role.ACCOUNT)
            self._first = None
        if line.octets:
            self._secret(line, "")
            self._attempts.give_up()
        self._expected = Role.ACCOUNT if self._attempts.owner is None else Role.COMMAND

    def _name(self, line: Line) -> None:
        name = text_of(line.octets)
        if self._user and name != self._user:
            self._secret(line, self._user)
            return
        self._account, self._first = name, line
        self._expected = Role.SECRET

    def _give(self, line: Line) -> None:
        first, self._first = self._first, None
        if first is None:
            self._secret(line, "")
        elif asks_for(text_of(line.octets), "") is not None:
            self._account = None
            self._secret(first, "")
            self._follow(line, False)
        else:
            self._attempts.account(text_of(first.octets), first.frame, inferred=True)
            self._tell(first, Role.ACCOUNT)
            self._secret(line, "")

    def _secret(self, line: Line, user: str) -> None:
        self._attempts.secret(line, user=user, inferred=True)
        self._tell(line, Role.SECRET)
        self._expected = Role.COMMAND

    def _follow(self, line: Line, again: bool) -> None:
        """A line behind a secret: the account again, or a command."""
        if again:
            self._attempts.resolve(Outcome.REFUSED, line.frame)
            self._name(line)
            return
        self._attempts.resolve(Outcome.ACCEPTED, line.frame)
        asks = self._attempts.command(text_of(line.octets), line.frame)
        self._tell(line, Role.COMMAND)
        self._expected = Role.SECRET if asks else Role.COMMAND

    def _is_account(self, line: Line) -> bool:
        """Whether a line, while an attempt waits for its outcome, says the account of it again."""
        if self._attempts.pending is None or self._account is None:
            return False
        name = text_of(line.octets)
        return name == self._account or (len(name) > 2 and _is_near(name, self._account))


def _is_near(one: str, other: str) -> bool:
    """Whether one letter more, less or changed makes one of the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    begin = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return (
        one[begin + 1 :] == other[begin + 1 :] or one[begin + 1 :] == other[begin:] or one[begin:] == other[begin + 1 :]
    )
