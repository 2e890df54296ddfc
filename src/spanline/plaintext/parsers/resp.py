"""Redis logins: AUTH and HELLO … AUTH, as arrays or inline. https://redis.io/docs/latest/develop/reference/protocol-spec"""

from __future__ import annotations

import re
from collections import deque
from itertools import islice

from spanline.plaintext.commands import NOT_WHOLE
from spanline.plaintext.lines import Line, LineParser, Lines, add_frame, text
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
)

REMEDY = "Use TLS (tls-port), and let ACLs give each client what it needs only."

_INLINE = re.compile(rb'"((?:[^"\\]|\\.)*)(?:"|$)|\'((?:[^\'\\]|\\.)*)(?:\'|$)|\S+')
"""Words of an inline command, some in quotes, which end with the line at last."""

_ESCAPE = re.compile(rb"\\(.)")
_LONGEST_ARGUMENT = 1024
_MOST_ARGUMENTS = 7
"""HELLO 3 AUTH user password SETNAME name."""

_MOST_UNANSWERED = 1024
_MOST_ATTEMPTS = 16
_MOST_BEFORE = 2000
"""Arguments and elements of replies; after so many without a login there will be none."""

_LONGEST_BULK = 1 << 30
_AGGREGATES = {b"*": 1, b"~": 1, b">": 1, b"%": 2, b"|": 2}
"""Of how many elements they are, for each that they count. > (pushed) and | (attributes) stand beside replies."""

_KINDS = frozenset(b"+-:_#,($=!*~%>|")
_MOST_ELEMENTS = 1 << 24


class RespParser(LineParser):
    """Commands and replies are counted, so that an answer is known for what it answers.

    Logins come first: where there are none for a while, none are waited for.
    """

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._waiting: deque[Finding | None] = deque()
        self._attempts = 0
        self._before = 0
        self._left = 0
        self._size = 0
        self._arguments: list[Line] = []
        self._open = 0
        self._failed = self._aside = False
        self._quiet = b"ON"

    def next(self, lines: Lines) -> Line | None:
        return lines.block(self._size) if self._size and lines is self.lines[Sender.CLIENT] else lines.line()

    def client(self, line: Line) -> None:
        if self._size:
            self._size = 0
            self.lines[Sender.CLIENT].skip(2)
            self._argument(line)
        elif self._left and line.data.startswith(b"$"):
            size = _number(line.data)
            if 0 < size <= _LONGEST_ARGUMENT:
                self._size = size
            else:
                self.lines[Sender.CLIENT].skip(max(0, size) + 2)
                self._argument(Line(line.sender, b"", line.offset, line.time, line.frame, whole=size <= 0))
        elif line.data.startswith(b"*"):
            self._arguments = []
            self._left = max(0, _number(line.data))
        elif line.data and not self._left:
            self._inline(line)
        else:
            self._left = 0

    def server(self, line: Line) -> None:
        self._count()
        kind = line.data[:1]
        if not kind or kind[0] not in _KINDS:
            return
        if self._open == 0:
            self._failed = kind in (b"-", b"!")
            self._aside = kind in (b"|", b">")
            self._open = 1
        elif kind == b"|":
            self._open += 1
        self._open -= 1
        if kind in (b"$", b"=", b"!"):
            size = _number(line.data)
            if size >= 0:
                self.lines[Sender.SERVER].skip(min(size + 2, _LONGEST_BULK))
        elif kind in _AGGREGATES:
            self._open = min(self._open + max(0, _number(line.data)) * _AGGREGATES[kind], _MOST_ELEMENTS)
        if self._open == 0 and not self._aside and self._waiting:
            finding = self._waiting.popleft()
            if finding is not None:
                self._attempts -= 1
                add_frame(finding, line.frame)
                finding.outcome = Outcome.REFUSED if self._failed else Outcome.ACCEPTED
                self.give(finding)

    def end(self) -> None:
        for finding in self._waiting:
            if finding is not None:
                self.give(finding)
        self._waiting.clear()

    def _count(self) -> None:
        self._before += 1
        self.done = self._before > _MOST_BEFORE and not self._attempts

    def _argument(self, line: Line) -> None:
        if len(self._arguments) < _MOST_ARGUMENTS:
            self._arguments.append(line)
        self._left -= 1
        self._count()
        if self._left == 0:
            arguments, self._arguments = self._arguments, []
            self._command(arguments)

    def _inline(self, line: Line) -> None:
        parts = []
        for found in islice(_INLINE.finditer(line.data), _MOST_ARGUMENTS):
            start, end = found.span(found.lastindex or 0)
            word = _ESCAPE.sub(rb"\1", line.data[start:end]) if found.lastindex else line.data[start:end]
            parts.append(Line(line.sender, word, line.offset + start, line.time, line.frame, line.whole))
        self._command(parts)

    def _command(self, arguments: list[Line]) -> None:
        if not arguments or not self._replied([one.data.upper() for one in arguments[:3]]):
            return
        login = _login(arguments)
        if len(self._waiting) == _MOST_UNANSWERED or (login and self._attempts == _MOST_ATTEMPTS):
            self._give_up()
        if login is not None:
            self._attempts += 1
            self._before = 0
        self._waiting.append(login)

    def _give_up(self) -> None:
        """The oldest attempts, and what is before them, will not be answered."""
        while self._waiting:
            oldest = self._waiting.popleft()
            if oldest is not None:
                self._attempts -= 1
                self.give(oldest)
                return

    def _replied(self, words: list[bytes]) -> bool:
        """Whether the server says anything to a command: CLIENT REPLY tells it not to."""
        quiet = self._quiet
        if self._quiet == b"SKIP":
            self._quiet = b"ON"
        if words[:2] == [b"CLIENT", b"REPLY"] and len(words) == 3:
            self._quiet = quiet = words[2]
        return quiet not in (b"OFF", b"SKIP")


def _login(arguments: list[Line]) -> Finding | None:
    verb = arguments[0].data.upper()
    if verb == b"AUTH" and len(arguments) in (2, 3):
        return _credential("AUTH", arguments[1:])
    if verb == b"HELLO" and len(arguments) >= 5 and arguments[2].data.upper() == b"AUTH":
        return _credential("HELLO AUTH", arguments[3:5])
    return None


def _credential(scheme: str, arguments: list[Line]) -> Finding:
    """A password alone is that of the account "default" (ACL, since Redis 6), or of all before."""
    secret = arguments[-1]
    frames = tuple(dict.fromkeys(one.frame for one in arguments))
    return Finding(
        Kind.CREDENTIAL,
        secret.time,
        frames,
        scheme,
        Severity.HIGH,
        REMEDY,
        account=text(arguments[0].data) if len(arguments) > 1 else "default",
        secret=Secret(secret.data),
        spans=(secret.span(),),
        detail="" if secret.whole else NOT_WHOLE,
    )


def _number(octets: bytes) -> int:
    digits = octets[1:11].lstrip(b"-")
    return int(octets[1:11]) if digits.isdigit() and octets[1:2] != b"-" else -1


PROTOCOLS = (
    Plaintext(
        "resp",
        "Redis",
        RespParser,
        tcp_ports=(6379,),
        patterns=(
            Pattern(rb"^\*[1-9]\d?\r\n\$\d{1,9}\r\n[A-Za-z]{2,20}\r\n", Sender.CLIENT),
            Pattern(rb"^(?i:AUTH) [^\r\n]{1,200}\r\n(?i:PING|SELECT|INFO|GET|SET|KEYS|CONFIG|CLIENT)\b", Sender.CLIENT),
        ),
    ),
)
