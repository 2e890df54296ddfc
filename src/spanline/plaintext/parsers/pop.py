"""POP3 logins: USER and PASS, APOP (RFC 1939 sections 7 and 13), and AUTH with SASL (RFC 5034)."""

from __future__ import annotations

from spanline.plaintext.commands import CommandParser
from spanline.plaintext.lines import Line, text
from spanline.plaintext.model import (
    Conversation,
    Finding,
    Kind,
    Outcome,
    Pattern,
    Plaintext,
    Sender,
    Severity,
)
from spanline.plaintext.sasl import GUESSABLE

REMEDY = "Use POP3 over TLS (port 995 or STLS) and refuse logins without it."

_LAST = {"PASS", "APOP", "AUTH", "STLS"}
"""What comes after one of these that is accepted tells no account."""

_LISTS = {"CAPA", "LIST", "UIDL", "AUTH"}
"""Without an argument answered by lines up to a dot."""

_BODIES = {"RETR", "TOP"}
"""With one."""


class PopParser(CommandParser):
    """A login that is accepted is the last one of a connection (RFC 1939 section 4)."""

    remedy = REMEDY

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._user = ""
        self._user_frame = 0
        self._listing = False

    def command(self, verb: str, argument: int, line: Line) -> None:
        if verb == "USER":
            self._user, self._user_frame = text(line.data[argument:].strip()), line.frame
            self.send(verb)
        elif verb == "PASS":
            self.send(verb, self.credential("USER and PASS", self._user, line, argument, self._user_frame))
        elif verb == "APOP":
            self.send(verb, self._apop(line, argument))
        elif verb == "AUTH" and argument < len(line.data):
            self.authenticate(self.send(verb), line, argument)
        elif verb:
            self.send("a list" if verb in (_LISTS if argument == len(line.data) else _BODIES) else verb)

    def server(self, line: Line) -> None:
        if self._listing:
            self._listing = line.data != b"."
            return
        accepted = line.data.startswith(b"+OK")
        if not accepted and not line.data.startswith(b"-ERR"):
            if line.data[:2] in (b"+", b"+ "):
                self.go_on()
            return
        if not self.sent:
            return
        command = self.sent.popleft()
        self._listing = accepted and command.verb == "a list"
        over = accepted and command.verb in _LAST
        self.answer(command, Outcome.ACCEPTED if accepted else Outcome.REFUSED, line)
        if over:
            self.end()
            self.done = True

    def _apop(self, line: Line, argument: int) -> Finding | None:
        account, _, digest = line.data[argument:].rpartition(b" ")
        if not account or len(digest) != 32:
            return None
        return Finding(
            Kind.CHALLENGE,
            line.time,
            (line.frame,),
            "APOP",
            Severity.MEDIUM,
            f"{REMEDY} {GUESSABLE}",
            account=text(account),
            spans=(line.span(len(line.data) - len(digest)),),
        )


PROTOCOLS = (
    Plaintext(
        "pop",
        "POP3",
        PopParser,
        tcp_ports=(110,),
        patterns=(
            Pattern(rb"^\+OK [^\r\n]{0,200}(?i:pop3?\b|dovecot|<[^\r\n>@]{1,80}@[^\r\n>]{1,80}>)", Sender.SERVER),
            Pattern(
                rb"^(CAPA\r\n)?(USER [^\r\n]{1,100}\r\nPASS [^\r\n]{0,100}\r\n|APOP [^\r\n]{1,100} [0-9a-f]{32}\r\n)"
                rb"(STAT|LIST|UIDL|RETR|CAPA|TOP)\b",
                Sender.CLIENT,
            ),
        ),
    ),
)
