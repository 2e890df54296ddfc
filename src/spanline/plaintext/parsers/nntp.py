"""NNTP logins: AUTHINFO USER, PASS and SASL. RFC 4643 section 2."""

from __future__ import annotations

from spanline.plaintext.commands import ReplyParser, word
from spanline.plaintext.lines import Line, text
from spanline.plaintext.model import Conversation, Outcome, Pattern, Plaintext, Sender

REMEDY = "Use NNTP over TLS (port 563 or STARTTLS) and refuse logins without it."

_ACCEPTED = {250, 281, 283}
_GO_ON = {335, 340, 350, 381, 383}
_SENDS_ARTICLE = {"POST", "IHAVE"}


class NntpParser(ReplyParser):
    """Only logins, and what begins an article, wait for a reply: those of others may be articles, of many lines.

    A login that is accepted is the last one of a connection (RFC 4643 section 2.2).
    """

    remedy = REMEDY

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._user = ""
        self._user_frame = 0

    def awaits(self) -> bool:
        return bool(self.sent)

    def command(self, verb: str, argument: int, line: Line) -> None:
        if verb in _SENDS_ARTICLE:
            self.send(verb)
            self.lines[Sender.CLIENT].skip_until(b"\r\n.\r\n")
        elif verb == "STARTTLS":
            self.send(verb)
        elif verb == "AUTHINFO":
            kind, argument = word(line.data, argument)
            if kind == "USER":
                self._user, self._user_frame = text(line.data[argument:].strip()), line.frame
                self.send(verb)
            elif kind == "PASS":
                scheme = "AUTHINFO USER and PASS"
                self.send(verb, self.credential(scheme, self._user, line, argument, self._user_frame))
            elif kind == "SASL":
                self.authenticate(self.send("AUTHINFO SASL"), line, argument)

    def reply(self, code: int, line: Line) -> None:
        command = self.sent[0]
        articles = self.lines[Sender.CLIENT]
        if code in _GO_ON and command.verb in _SENDS_ARTICLE:
            return
        if code == 383 and command.verb == "AUTHINFO SASL":
            self.go_on()
            return
        self.sent.popleft()
        if command.verb in _SENDS_ARTICLE and articles.skipping:
            articles.stop_skipping()
        if code != 381:
            self.answer(command, Outcome.ACCEPTED if code in _ACCEPTED else Outcome.REFUSED, line)
        if code in _ACCEPTED or (code == 382 and command.verb == "STARTTLS"):
            self.end()
            self.done = True


PROTOCOLS = (
    Plaintext(
        "nntp",
        "NNTP",
        NntpParser,
        tcp_ports=(119,),
        patterns=(
            Pattern(rb"^20[01] [^\r\n]{0,200}(?i:nntp|news|usenet|inn\b)", Sender.SERVER),
            Pattern(
                rb"^(MODE READER\r\n|CAPABILITIES\r\n)?(?i:AUTHINFO (USER|SASL)) [^\r\n]{1,200}\r\n", Sender.CLIENT
            ),
        ),
    ),
)
