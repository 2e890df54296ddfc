"""IMAP logins: LOGIN with atoms, quoted strings and literals, and AUTHENTICATE. RFC 9051 sections 6.2.2 and 6.2.3."""

from __future__ import annotations

import re

from spanline.plaintext.commands import NOT_WHOLE, Command, CommandParser, word
from spanline.plaintext.lines import LONGEST, Line, Lines, text
from spanline.plaintext.model import (
    Conversation,
    Finding,
    Kind,
    Outcome,
    Pattern,
    Plaintext,
    Secret,
    Sender,
    Severity,
    Span,
)

REMEDY = "Use IMAP over TLS (port 993 or STARTTLS) and refuse logins without it (LOGINDISABLED)."

_LITERAL = re.compile(rb"\{(\d{1,10})(\+?)\}$")
_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^\s"]\S*)')
_ESCAPE = re.compile(rb"\\(.)")
_LAST = {"LOGIN", "AUTHENTICATE", "STARTTLS"}
"""What comes after one of these that is accepted tells no account."""

_MOST_ARGUMENTS = 4
_MOST_TAGS = 64

_Argument = tuple[bytes, Span, int]


class ImapParser(CommandParser):
    """A command is answered by its tag. A login that is accepted is the last one of a connection (section 3)."""

    remedy = REMEDY

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._tags: dict[str, Command] = {}
        self._login: Command | None = None
        self._current: Command | None = None
        self._asked: Command | None = None
        self._arguments: list[_Argument] = []
        self._literal = 0
        self._continues = False

    def awaits(self) -> bool:
        return bool(self.sent)

    def next(self, lines: Lines) -> Line | None:
        return lines.block(self._literal) if self._literal and lines is self.lines[Sender.CLIENT] else lines.line()

    def client(self, line: Line) -> None:
        if self._literal:
            self._literal, self._asked = 0, None
            self._argument(line.data, line.span(), line.frame)
        elif self._continues:
            self._continues = False
            self._arguments_of(line, 0)
        else:
            super().client(line)

    def command(self, verb: str, argument: int, line: Line) -> None:
        tag = verb
        verb, argument = word(line.data, argument)
        if not verb:
            return
        self._login = None
        self._current = command = self.send(verb)
        self._tags[tag] = command
        if len(self._tags) > _MOST_TAGS:
            self._tags = {tag: command for tag, command in self._tags.items() if command in self.sent}
        if verb == "AUTHENTICATE":
            self.authenticate(command, line, argument)
        else:
            self._arguments.clear()
            self._login = command if verb == "LOGIN" else None
            self._arguments_of(line, argument)

    def server(self, line: Line) -> None:
        if line.data.startswith(b"+"):
            self.go_on()
            return
        tag, status = word(line.data)
        command = self._tags.pop(tag, None)
        if command is None or command not in self.sent:
            return
        self.sent.remove(command)
        if command is self._asked:
            self._refuse_literal()
        accepted = word(line.data, status)[0] == "OK"
        over = accepted and command.verb in _LAST
        self.answer(command, Outcome.ACCEPTED if accepted else Outcome.REFUSED, line)
        if over:
            self.end()
            self.done = True

    def _refuse_literal(self) -> None:
        """An answer came instead of leave to send a literal: the client's next line is a command again."""
        self._literal, self._continues, self._login, self._asked = 0, False, None, None
        if self.lines[Sender.CLIENT].skipping:
            self.lines[Sender.CLIENT].stop_skipping()

    def _arguments_of(self, line: Line, start: int) -> None:
        """Reads what stands in a line from `start`, and looks what follows it: a literal, or nothing."""
        literal = _LITERAL.search(line.data) if line.whole else None
        end = literal.start() if literal else len(line.data)
        if self._login:
            for found in _ARGUMENT.finditer(line.data, start, end):
                value = found[2] if found[1] is None else _ESCAPE.sub(rb"\1", found[1])
                self._argument(value, line.span(*found.span(2 if found[1] is None else 1)), line.frame)
        self._asked = None
        if literal:
            self._continues = True
            self._asked = None if literal[2] else self._current
            size = int(literal[1])
            if self._login and 0 < size <= LONGEST:
                self._literal = size
                return
            self.lines[Sender.CLIENT].skip(size)
            if self._login:
                self._argument(b"", Span(line.sender, 0, 0), line.frame)
        elif self._login:
            self._login.finding = self._credential(line)

    def _argument(self, value: bytes, span: Span, frame: int) -> None:
        if len(self._arguments) < _MOST_ARGUMENTS:
            self._arguments.append((value, span, frame))

    def _credential(self, line: Line) -> Finding | None:
        if len(self._arguments) < 2:
            return None
        (user, _, first), (secret, span, last) = self._arguments[:2]
        self._arguments = []
        frames = tuple(dict.fromkeys((first, last)))
        return Finding(
            Kind.CREDENTIAL,
            line.time,
            frames,
            "LOGIN",
            Severity.HIGH,
            REMEDY,
            account=text(user),
            secret=Secret(secret),
            spans=(span,),
            detail="" if line.whole else NOT_WHOLE,
        )


PROTOCOLS = (
    Plaintext(
        "imap",
        "IMAP",
        ImapParser,
        tcp_ports=(143,),
        patterns=(
            Pattern(rb"^\* (OK|PREAUTH) [^\r\n]{0,300}(?i:imap)", Sender.SERVER),
            Pattern(
                rb"^[A-Za-z0-9.]{1,16} ((?i:LOGIN) [^\r\n ]{1,100} |(?i:AUTHENTICATE) [A-Za-z0-9-]{2,20}[ \r]"
                rb"|(?i:CAPABILITY|STARTTLS)\r)",
                Sender.CLIENT,
            ),
        ),
    ),
)
