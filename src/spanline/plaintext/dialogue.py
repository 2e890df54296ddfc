"""What a server asks at a terminal, what somebody answers, and the attempts to log in that this makes.

A line that was typed answers the question on the screen. Typed before there is one, it waits for it. What the server
shows of a line while it is typed is its echo, and is never taken for more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from spanline.plaintext.attempts import Attempt, Attempts
from spanline.plaintext.line_editor import End, Line, LineEditor
from spanline.plaintext.model import Outcome, Sender, Span
from spanline.plaintext.one_sided import OneSided, Role
from spanline.plaintext.prompts import Asked, Question, is_refusal, is_welcome, may_ask, question, questions_within
from spanline.plaintext.screen import Printed, Screen, text_of
from spanline.plaintext.session import Command, Event, Session
from spanline.plaintext.telnet_options import Options

MOST_WAITING = 64
"""Lines that wait for a question."""

_SECRETS = (Asked.SECRET, Asked.NEW_SECRET)
# After so many lines, or this time in ns, a server that said nothing was not captured.
_ENOUGH_LINES, _ENOUGH_TIME = 16, 5 * 10**9
# Who refuses does not go on for so many lines.
_ENOUGH_ANSWERS = 100


@dataclass(frozen=True, slots=True)
class _Question:
    """A question as it stands on the screen: number of its line, where it ends there and in the server's stream."""

    question: Question
    text: str
    number: int
    column: int
    offset: int


@dataclass(slots=True)
class _Echo:
    """A line that was typed, and what the server may show of it."""

    asked: _Question
    line: Line
    attempt: Attempt | None = None
    command: Command | None = None
    event: Event | None = None


class Dialogue:
    """Puts lines that were typed and lines that were printed together.

    attempts     what comes of it
    commands     how many command lines there were
    client_seen  the client's side was captured
    server_seen  the server's side was captured
    """

    def __init__(self, screen: Screen, editor: LineEditor, options: Options, session: Session | None) -> None:
        self.attempts = Attempts()
        self.commands = 0
        self.client_seen = self.server_seen = False
        self._screen = screen
        self._editor = editor
        self._options = options
        self._session = session
        self._question: _Question | None = None
        self._latest: _Question | None = None
        self._echo: _Echo | None = None
        self._echoes = False
        self._named: _Echo | None = None
        self._waiting: deque[Line] = deque()
        self._one_sided: OneSided | None = None

    # --- the client

    def typed(self, line: Line) -> None:
        """A line was typed to its end."""
        if not self.server_seen:
            self._typed_to_nobody(line)
            return
        if line.end is End.GIVEN_UP:
            self._given_up(line)
            return
        asked, self._question = self._question, None
        if asked is not None:
            self._answer(self._reordered(asked, line), line)
        elif line.octets:
            self._waiting.append(line)
            if len(self._waiting) > MOST_WAITING:
                self._unasked()
        self._screen.mark()

    def _typed_to_nobody(self, line: Line) -> None:
        waiting = self._waiting
        waiting.append(line)
        enough = len(waiting) >= _ENOUGH_LINES or line.time - waiting[0].time >= _ENOUGH_TIME
        if self._one_sided is not None or enough:
            self._one_side()

    def _one_side(self) -> OneSided:
        """The lines that wait are all there is to know."""
        if self._one_sided is None:
            self._one_sided = OneSided(self.attempts, self._told, self._options.user)
        while self._waiting:
            self._one_sided.take(self._waiting.popleft())
        return self._one_sided

    def _told(self, line: Line, role: Role) -> None:
        if role is Role.COMMAND:
            self._record(line)
        elif self._session is not None:
            self._session.typed(self._text(line), line.time, line.frame, role is Role.SECRET)

    def _given_up(self, line: Line) -> None:
        asked = self._question
        secret = asked is not None and asked.question.asked in _SECRETS
        if secret and line.octets and asked is not None:
            self._try(asked, line)
            self.attempts.give_up()
        if self._session is not None and line.octets:
            self._session.typed(self._text(line), line.time, line.frame, secret)

    def _answer(self, asked: _Question, line: Line) -> None:
        kind = asked.question.asked
        self._echo = echo = _Echo(asked, line)
        if kind is not Asked.ACCOUNT and kind not in _SECRETS:
            if line.octets or not line.certain:
                echo.command, echo.event = self._command(line)
            return
        if kind in _SECRETS:
            echo.attempt = self._try(asked, line)
        elif line.octets:
            self.attempts.account(self._text(line), line.frame)
        if self._session is not None:
            self._session.typed(self._text(line), line.time, line.frame, kind in _SECRETS)

    def _try(self, asked: _Question, line: Line) -> Attempt:
        attempt = self.attempts.secret(line, asked.question.account, self._options.user, asked.text.strip())
        if asked.question.asked is Asked.NEW_SECRET:
            attempt.details.append("a new password")
        return attempt

    def _command(self, line: Line) -> tuple[Command | None, Event | None]:
        self.attempts.command(self._text(line), line.frame)
        return self._record(line)

    def _unasked(self) -> None:
        """The first line that waits is for a program that asked nothing; or the question was not captured."""
        line = self._waiting.popleft()
        if line.shown or not (self._echoes and self._options.echo):
            self._command(line)
        elif self._session is not None:
            # What a server that echoes does not show may be a secret.
            self._session.typed(self._text(line), line.time, line.frame, secret=True)

    def _record(self, line: Line) -> tuple[Command | None, Event | None]:
        self.commands += 1
        if self._session is None:
            return None, None
        command = Command(self._text(line), line.time, line.frame)
        self._session.command(command)
        return command, self._session.typed(command.text, line.time, line.frame)

    def _text(self, line: Line) -> str:
        return text_of(line.octets, self._options.charset)

    # --- the server

    def gap(self) -> None:
        """Something that the server said is missing: what it asks is not known."""
        self._question = self._echo = None

    def heard(self) -> None:
        """The server said something: both sides were captured."""
        if not self.server_seen:
            self.server_seen = True
            if self._one_sided is not None:
                self._one_sided.finish()
                self._one_sided = None

    def printed(self, line: Printed, time: int, frame: int) -> None:
        """A line was printed to its end."""
        text = line.fresh
        if self._echo is not None and self._echo.asked.number == line.number:
            text = self._see_echo(self._echo, line.text, text, line.stop)
        self._show(line.text, text, line.number, time, frame, end="\n")
        if not text.strip():
            return
        for waiting in self._waiting:
            waiting.shown = waiting.shown or self._text(waiting) in text
        if self._waiting or not self.client_seen:
            self._look_within(text, line, time, frame)
        self._judge(text, frame)

    def paused(self, time: int, frame: int) -> None:
        """The server waits: it was the client's turn, or the conversation is over."""
        screen = self._screen
        asked = self._question
        is_same = asked is not None and asked.number == screen.number
        if asked is not None and is_same and (self._editor.begun or asked.question.asked is not Asked.OTHER):
            return
        fresh = screen.fresh
        if self._echo is not None and self._echo.asked.number == screen.number:
            fresh = self._see_echo(self._echo, screen.text, fresh, screen.offset)
        if not fresh.strip():
            if not self._editor.begun:
                self._question = None
            return
        kind = question(fresh) or Question(Asked.OTHER)
        asked = _Question(kind, fresh, screen.number, len(screen.text), screen.offset)
        self._show(screen.text, fresh, screen.number, time, frame)
        understood = self._behind(asked) if self._editor.begun else asked
        if understood is not None:
            self._ask(understood, frame)

    def _behind(self, asked: _Question) -> _Question | None:
        """The question, where what was typed already is shown behind it, too; None where it is the one before still."""
        latest, typed = self._latest, text_of(self._editor.octets)
        if latest is not None and asked.text.startswith(latest.text) and len(asked.text) > len(latest.text):
            # Drawn again, with what a completion made of the line.
            self._editor.uncertain()
            return replace(asked, question=latest.question, text=latest.text,
                           column=asked.column - len(asked.text) + len(latest.text))  # fmt: skip
        if typed and asked.question.asked is Asked.OTHER and asked.text.endswith(typed):
            text = asked.text[: -len(typed)]
            shorter = question(text)
            if shorter is not None and shorter.asked is not Asked.OTHER:
                return replace(asked, question=shorter, text=text, column=asked.column - len(typed))
        if asked.question.asked is Asked.COMMAND or (latest is not None and latest.question.asked is Asked.CHOICE):
            # A pager took the keys, or whatever wanted any key.
            self._editor.drop()
        before = self._question
        is_echo = before is not None and Asked.OTHER is asked.question.asked is not before.question.asked
        return None if is_echo else asked

    def _reordered(self, asked: _Question, line: Line) -> _Question:
        """The question, where the echo of the first letters was captured before them."""
        typed = self._text(line)
        for size in range(min(len(typed), 4), 0, -1):
            text = asked.text[:-size]
            if asked.question.asked is not Asked.OTHER or not asked.text.endswith(typed[:size]):
                continue
            shorter = question(text)
            if shorter is not None and shorter.asked is not Asked.OTHER:
                asked = replace(asked, question=shorter, text=text, column=asked.column - size)
                self._judge_question(asked, 0)
                break
        return asked

    def _ask(self, asked: _Question, frame: int) -> None:
        self._question = self._latest = asked
        self._judge_question(asked, frame)
        if asked.question.asked is Asked.ACCOUNT or asked.question.asked in _SECRETS:
            if self._waiting:
                self._question = None
                self._answer(asked, self._waiting.popleft())
            return
        while self._waiting:
            self._unasked()

    def _judge_question(self, asked: _Question, frame: int) -> None:
        """What a question tells of the attempt before it."""
        pending = self.attempts.pending
        if pending is None:
            return
        kind, text = asked.question.asked, asked.text.strip()
        if kind is Asked.OTHER:
            self._judge(text, frame)
            return
        # A router that is still not enabled says so by its prompt.
        is_refused = (
            kind is Asked.ACCOUNT
            or (kind is Asked.SECRET and text == pending.asked)
            or (kind is Asked.COMMAND and pending.account.name == "enable" and text.endswith(">"))
        )
        if is_refused:
            self.attempts.resolve(Outcome.REFUSED, frame)
        elif kind is not Asked.SECRET:
            self.attempts.resolve(Outcome.ACCEPTED, frame)

    def _judge(self, text: str, frame: int) -> None:
        """What a line tells of the attempt before it."""
        pending = self.attempts.pending
        if pending is None:
            return
        pending.answers += 1
        if is_refusal(text):
            self.attempts.resolve(Outcome.REFUSED, frame)
        elif is_welcome(text):
            self.attempts.resolve(Outcome.ACCEPTED, frame)
        elif pending.commanded or pending.answers >= _ENOUGH_ANSWERS:
            self.attempts.resolve(Outcome.ACCEPTED, frame, inferred=True)

    def _look_within(self, text: str, line: Printed, time: int, frame: int) -> None:
        """Questions that were answered before they were asked, or whose answers nobody captured."""
        for asked, rest in questions_within(text):
            here = _Question(asked, text, line.number, 0, line.stop)
            rest = rest.strip()
            if not self.client_seen:
                self._judge_question(here, frame)
                if asked.asked is not Asked.ACCOUNT:
                    self.attempts.shown(time, frame)
                elif rest and self.attempts.owner is None:
                    self.attempts.account(rest.split()[0], frame, inferred=True)
            elif self._waiting and (asked.asked in _SECRETS or not rest or rest == text_of(self._waiting[0].octets)):
                self._judge_question(here, frame)
                self._answer(here, self._waiting.popleft())
                self._echo = None
        if self._waiting:
            typed = text_of(self._waiting[0].octets)
            before = question(text[: -len(typed)]) if text.endswith(typed) else None
            if before is not None and before.asked is Asked.COMMAND:
                self._judge_question(_Question(before, text[: -len(typed)], line.number, 0, line.stop), frame)
                self._command(self._waiting.popleft())

    # --- the echo

    def _see_echo(self, echo: _Echo, text: str, fresh: str, stop: int) -> str:
        """Takes from a line what the server showed of what was typed, and gives what else came behind Enter."""
        self._echo = None
        # The question may have been drawn again: it is not what came behind Enter.
        drawn = echo.asked.text.rstrip()
        column = len(drawn) if text.startswith(drawn) else echo.asked.column
        if text[:column].rstrip().endswith(drawn):
            fresh = text[max(column, len(text) - len(fresh)) :]
        shown = text[column:].strip()
        typed = self._text(echo.line)
        if echo.attempt is not None:
            before_enter = text[column : len(text) - len(fresh)].strip()
            # One letter again and again hides it.
            if len(set(before_enter)) > 1 or _is_part(shown, typed):
                echo.attempt.spans.append(Span(Sender.SERVER, echo.asked.offset, stop))
                echo.attempt.details.append("shown on the screen")
        elif not echo.line.certain:
            self._take_from_echo(echo, shown)
        elif _is_part(shown, typed) or not echo.line.hidden:
            # Shown by the server, or by the client itself.
            self._echoes = True
            if echo.asked.question.asked is Asked.OTHER:
                self._named = echo
        elif not shown and typed and self._echoes and echo.asked.question.asked is Asked.OTHER and may_ask(drawn):
            self._take_for_secret(echo)
        behind = fresh.strip()
        return "" if _is_part(behind, typed) or set(behind) <= {"*", "•"} else fresh

    def _take_from_echo(self, echo: _Echo, shown: str) -> None:
        if echo.asked.question.asked is Asked.ACCOUNT:
            self.attempts.rename(shown)
        elif shown:
            self.attempts.command(shown, echo.line.frame)
            if echo.command is not None and echo.event is not None:
                echo.command.text = echo.event.text = shown
                echo.command.from_echo = True

    def _take_for_secret(self, echo: _Echo) -> None:
        """What was taken for a command is a secret, and what was typed before it an account."""
        self._withdraw(echo)
        if echo.event is not None:
            echo.event.secret = True
        if self._named is not None:
            self._withdraw(self._named)
            self.attempts.account(self._text(self._named.line), self._named.line.frame, inferred=True)
            self._named = None
        self.attempts.secret(echo.line, asked=echo.asked.text.strip(), inferred=True)

    def _withdraw(self, echo: _Echo) -> None:
        self.commands -= 1
        if self._session is not None and echo.command is not None:
            self._session.withdraw(echo.command)

    # --- the transcript, and the end

    def _show(self, text: str, fresh: str, number: int, time: int, frame: int, end: str = "") -> None:
        """Gives what is new of a line to the transcript, and no echo."""
        if self._session is not None:
            is_echo = end and self._editor.begun and self._question is not None and self._question.number == number
            self._session.line(number, text, 0 if is_echo else len(fresh), end, time, frame)

    def finish(self, time: int, frame: int) -> None:
        """Nothing more is said; the last of it was at that time and in that frame."""
        unfinished = self._editor.unfinished()
        if unfinished is not None:
            unfinished.time, unfinished.frame = time, frame
            self.typed(unfinished)
        if not self.server_seen:
            self._one_side().finish()
        while self._waiting:
            self._unasked()
        self.attempts.resolve(Outcome.UNKNOWN)


def _is_part(shown: str, typed: str) -> bool:
    """Whether what was shown is what was typed, or its beginning or end: echoes come late, too."""
    return bool(shown) and (typed.startswith(shown) or typed.endswith(shown))
