"""IRC: PASS, OPER, SASL and what is said to NickServ. RFC 2812 section 3.1, IRCv3 "sasl-3.1"."""

from __future__ import annotations

import re

from spanline.plaintext.commands import NOT_WHOLE
from spanline.plaintext.lines import Line, LineParser, add_frame, text
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
from spanline.plaintext.sasl import Exchange, decode

REMEDY = "Use IRC over TLS (port 6697)."

_WELCOME = "001"
_PASSWORD = {"464": Outcome.REFUSED, "465": Outcome.REFUSED, _WELCOME: Outcome.ACCEPTED}
_OPERATOR = {"381": Outcome.ACCEPTED, "464": Outcome.REFUSED, "491": Outcome.REFUSED}
_SASL = {
    "900": Outcome.ACCEPTED,
    "903": Outcome.ACCEPTED,
    "902": Outcome.REFUSED,
    "904": Outcome.REFUSED,
    "905": Outcome.REFUSED,
    "906": Outcome.REFUSED,
}
_IDENTIFIED = re.compile(rb"(?i)you are (now|successfully) (identified|logged)|password accepted|now recognized")
_NOT_IDENTIFIED = re.compile(rb"(?i)invalid|incorrect|wrong|denied|not registered|isn't registered|failed")
_SERVICES = {"NICKSERV", "NS"}
_TOKEN = 400
"""Characters of a token in one message: one of as many is continued by the next."""

_LONGEST_TOKEN = 16384

_Part = tuple[bytes, int]
"""A parameter and where in the line it begins."""


class IrcParser(LineParser):
    """An attempt is given when it is answered; a connection without any tells who is on it, as a service."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._nick = self._user = ""
        self._user_frame = 0
        self._user_time = 0
        self._password: Finding | None = None
        self._operator: Finding | None = None
        self._nickserv: Finding | None = None
        self._sasl: Finding | None = None
        self._exchange: Exchange | None = None
        self._token = b""
        self._token_spans: tuple[Span, ...] = ()
        self._registering = True
        self._any = False

    def awaits(self) -> bool:
        return self._registering or any((self._password, self._operator, self._nickserv, self._sasl))

    def client(self, line: Line) -> None:
        words = _words(line.data)
        if not words:
            return
        verb, parameters = words[0][0].upper().decode("latin-1"), words[1:]
        if verb == "PRIVMSG" and len(parameters) > 1 and _service(parameters[0]):
            self._said(_parts(parameters[1]), line)
        elif verb in _SERVICES and parameters:
            said = parameters[0][1] - (line.data[parameters[0][1] - 1 : parameters[0][1]] == b":")
            self._said(_parts((line.data[said:], said)), line)
        elif verb == "PASS" and parameters:
            self._answer("_password", Outcome.UNKNOWN)
            self._password = self._credential("PASS", "", parameters[0], line)
        elif verb == "OPER" and len(parameters) > 1:
            self._answer("_operator", Outcome.UNKNOWN)
            self._operator = self._credential("OPER", text(parameters[0][0]), parameters[1], line)
        elif verb == "AUTHENTICATE" and parameters:
            self._authenticate(parameters[0], line)
        elif verb == "NICK" and parameters:
            self._nick = text(parameters[0][0])
            self._name(line)
        elif verb == "USER" and parameters:
            self._user = text(parameters[0][0])
            self._name(line)
        elif verb == "STARTTLS":
            self._registering = True

    def server(self, line: Line) -> None:
        words = _words(line.data)
        if words and words[0][0].startswith(b":"):
            source, words = words[0][0], words[1:]
        else:
            source = b""
        if not words:
            return
        numeric = words[0][0].decode("latin-1")
        if numeric in _SASL:
            self._answer("_sasl", _SASL[numeric], line)
            if numeric == "900":
                self._answer("_nickserv", Outcome.ACCEPTED, line)
        if numeric in _OPERATOR and self._operator:
            self._answer("_operator", _OPERATOR[numeric], line)
        elif numeric in _PASSWORD:
            self._answer("_password", _PASSWORD[numeric], line)
        if numeric == _WELCOME:
            self._registering = False
            self._present(line)
        elif numeric == "670":
            self.end()
            self.done = True
        elif numeric == "NOTICE" and source[1:].upper().startswith(b"NICKSERV"):
            for pattern, outcome in ((_IDENTIFIED, Outcome.ACCEPTED), (_NOT_IDENTIFIED, Outcome.REFUSED)):
                if self._nickserv and pattern.search(line.data):
                    self._answer("_nickserv", outcome, line)

    def end(self) -> None:
        for attempt in ("_sasl", "_password", "_nickserv", "_operator"):
            self._answer(attempt, Outcome.UNKNOWN)
        self._present(None)

    def _answer(self, attempt: str, outcome: Outcome, line: Line | None = None) -> None:
        finding: Finding | None = getattr(self, attempt)
        if finding is None:
            return
        setattr(self, attempt, None)
        finding.outcome = outcome
        if attempt == "_password":
            finding.account = self._nick or self._user
            if self._user_frame:
                add_frame(finding, self._user_frame)
        if line is not None:
            add_frame(finding, line.frame)
        self._any = True
        self.give(finding)

    def _present(self, line: Line | None) -> None:
        """Who is there without having told a secret."""
        account = self._nick or self._user
        if self._any or not self._nick or not self._user:
            return
        self._any = True
        frames = (self._user_frame,) if line is None else (self._user_frame, line.frame)
        finding = Finding(Kind.SERVICE, self._user_time, frames, "NICK and USER", Severity.LOW, REMEDY, account=account)
        finding.outcome = Outcome.UNKNOWN if line is None else Outcome.ACCEPTED
        self.give(finding)

    def _name(self, line: Line) -> None:
        if not self._user_frame:
            self._user_frame, self._user_time = line.frame, line.time

    def _said(self, parts: list[_Part], line: Line) -> None:
        """IDENTIFY [account] password, as Anope and Atheme have it; REGISTER password [e-mail]."""
        if len(parts) < 2:
            return
        verb = parts[0][0].upper()
        if verb in (b"IDENTIFY", b"ID", b"AUTH", b"LOGIN"):
            secret = parts[min(2, len(parts) - 1)]
            account = text(parts[1][0]) if len(parts) > 2 else self._nick
        elif verb == b"REGISTER":
            secret, account = parts[1], self._nick
        else:
            return
        self._answer("_nickserv", Outcome.UNKNOWN)
        self._nickserv = self._credential(f"NickServ {text(verb)}", account, secret, line)

    def _authenticate(self, parameter: _Part, line: Line) -> None:
        value, start = parameter
        if self._exchange is None:
            self._exchange = Exchange(text(value, 32), f"AUTHENTICATE {text(value, 32).upper()}", REMEDY, line)
            self._token, self._token_spans = b"", ()
        elif value == b"*":
            self._exchange = None
        else:
            self._token = (self._token + value)[:_LONGEST_TOKEN] if value != b"+" else self._token
            self._token_spans = (*self._token_spans[-40:], line.span(start, start + len(value)))
            if len(value) == _TOKEN:
                return
            finding = self._exchange.respond(decode(self._token) or b"", line)
            if finding is not None:
                finding.spans = self._token_spans
                self._answer("_sasl", Outcome.UNKNOWN)
                self._sasl, self._exchange = finding, None
            self._token, self._token_spans = b"", ()

    def _credential(self, scheme: str, account: str, secret: _Part, line: Line) -> Finding:
        value, start = secret
        return Finding(
            Kind.CREDENTIAL,
            line.time,
            (line.frame,),
            scheme,
            Severity.HIGH,
            REMEDY,
            account=account,
            secret=Secret(value),
            spans=(line.span(start, start + len(value)),),
            detail="" if line.whole else NOT_WHOLE,
        )


def _words(octets: bytes) -> list[_Part]:
    """A message's prefix, command and parameters, the last one without its colon; of RFC 2812 section 2.3.1."""
    found: list[_Part] = []
    at = 0
    while at < len(octets) and len(found) < 16:
        if octets[at] == 32:
            at += 1
        elif octets[at] == 58 and found and (len(found) > 1 or not found[0][0].startswith(b":")):
            found.append((octets[at + 1 :], at + 1))
            break
        else:
            end = octets.find(b" ", at)
            end = len(octets) if end < 0 else end
            found.append((octets[at:end], at))
            at = end
    return found


def _parts(said: _Part) -> list[_Part]:
    return [(found[0], said[1] + found.start()) for found in re.finditer(rb"[^\s:]\S*", said[0])][:4]


def _service(parameter: _Part) -> bool:
    return parameter[0].upper().split(b"@")[0] == b"NICKSERV"


PROTOCOLS = (
    Plaintext(
        "irc",
        "IRC",
        IrcParser,
        tcp_ports=(6667,),
        patterns=(
            Pattern(
                rb"^(CAP LS[^\r\n]{0,20}\r?\n|CAP REQ [^\r\n]{0,100}\r?\n)?(PASS [^\r\n]{1,200}\r?\n)?"
                rb"(NICK [^\r\n ]{1,60}\r?\n|USER [^\r\n ]{1,60} [^\r\n]{1,200} :)",
                Sender.CLIENT,
            ),
            Pattern(rb"^:[^ \r\n]{1,100} (NOTICE (AUTH|\*|Auth) :|020 \* |CAP \* )", Sender.SERVER),
            Pattern(rb"^NOTICE AUTH :", Sender.SERVER),
        ),
    ),
)
