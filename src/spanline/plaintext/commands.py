"""Conversations of commands and replies, in order: what FTP, POP3, SMTP and NNTP have in common."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from spanline.plaintext.lines import Line, LineParser, add_frame
from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Secret, Severity
from spanline.plaintext.sasl import Exchange

NOT_WHOLE = "not captured whole"

_MOST_UNANSWERED = 16

_WORD = re.compile(rb"[^ \t]*")

_NO_TOKENS = {b"CAPA", b"NOOP", b"QUIT", b"RSET"}
"""Commands that are also base64: what they are is known from the server, if anything of it was captured."""


@dataclass(slots=True, eq=False)
class Command:
    """One that no reply has answered, and what it gives once that comes."""

    verb: str
    finding: Finding | None = None


class CommandParser(LineParser):
    """Keeps which command a reply is of, and leads SASL exchanges in which tokens are lines of base64.

    remedy  what to do about a password in the clear
    """

    remedy: ClassVar[str]

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self.sent: deque[Command] = deque()
        self._exchange: Exchange | None = None
        self._authenticating: Command | None = None
        self._wants_token = False

    @abstractmethod
    def command(self, verb: str, argument: int, line: Line) -> None:
        """Takes a command: its first word in capitals, and where in the line the rest begins."""

    def client(self, line: Line) -> None:
        if self._wants_token and self._token(line):
            return
        verb, argument = word(line.data)
        self.command(verb, argument, line)

    def send(self, verb: str, finding: Finding | None = None) -> Command:
        """A command that will be answered. Where nothing is, the oldest are given up."""
        if len(self.sent) == _MOST_UNANSWERED:
            self.answer(self.sent.popleft())
        command = Command(verb, finding)
        self.sent.append(command)
        return command

    def answer(self, command: Command, outcome: Outcome = Outcome.UNKNOWN, line: Line | None = None) -> None:
        """A command's reply, or that there is none. Ends its SASL exchange."""
        if command is self._authenticating:
            self._exchange = self._authenticating = None
            self._wants_token = False
        finding, command.finding = command.finding, None
        if finding is not None:
            if line is not None:
                add_frame(finding, line.frame)
            finding.outcome = outcome
            self.give(finding)

    def end(self) -> None:
        while self.sent:
            self.answer(self.sent.popleft())

    def credential(self, scheme: str, account: str, line: Line, start: int, frame: int = 0) -> Finding:
        """A secret that is the rest of a line, for an account of another frame."""
        return Finding(
            Kind.CREDENTIAL,
            line.time,
            (frame, line.frame) if frame and frame != line.frame else (line.frame,),
            scheme,
            Severity.HIGH,
            self.remedy,
            account=account,
            secret=Secret(line.data[start:]),
            spans=(line.span(start),),
            detail="" if line.whole else NOT_WHOLE,
        )

    def authenticate(self, command: Command, line: Line, mechanism: int) -> None:
        """`command` begins a SASL exchange: the mechanism stands in the line from there on, perhaps the first token."""
        name, token = word(line.data, mechanism)
        exchange = Exchange(name, f"{command.verb} {name}", self.remedy, line)
        self._exchange, self._authenticating, self._wants_token = exchange, command, True
        if token < len(line.data):
            command.finding = exchange.encoded(line, token)
            self._wants_token = command.finding is None

    def go_on(self) -> None:
        """The server asks for another token."""
        self._wants_token = self._exchange is not None

    def _token(self, line: Line) -> bool:
        """Takes a line as the client's next token; False when it is a command again, as nobody said that it is over."""
        exchange, command = self._exchange, self._authenticating
        if exchange is None or command is None:
            return False
        if line.data == b"*":
            self._wants_token = False
            return True
        over = not self.heard and line.data.upper() in _NO_TOKENS
        finding = None if over else exchange.encoded(line)
        if over or exchange.failed:
            self._wants_token = False
            return False
        command.finding = command.finding or finding
        self._wants_token = command.finding is None
        return True


class ReplyParser(CommandParser):
    """Replies begin with three digits, those of several lines with a hyphen after them on all but the last.

    RFC 959 section 4.2, RFC 5321 section 4.2.1.
    """

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._open = b""

    @abstractmethod
    def reply(self, code: int, line: Line) -> None:
        """Takes a reply, by its first line."""

    def server(self, line: Line) -> None:
        code, mark = line.data[:3], line.data[3:4]
        if len(code) < 3 or not code.isdigit() or mark not in b" -":
            return
        again, self._open = self._open == code, code if mark == b"-" else b""
        if not again:
            self.reply(int(code), line)


def word(octets: bytes, start: int = 0) -> tuple[str, int]:
    """The word at `start` in capitals, and where the one after it begins, one space or tab later."""
    found = _WORD.match(octets, start)
    end = found.end() if found else start
    return octets[start : min(end, start + 32)].decode("latin-1").upper(), min(end + 1, len(octets))
