"""SMTP logins by AUTH (RFC 4954), and mail that is sent without encryption (RFC 5321)."""

from __future__ import annotations

from spanline.plaintext.commands import Command, ReplyParser
from spanline.plaintext.lines import Line
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

REMEDY = "Use SMTP over TLS (port 465 or STARTTLS) and offer AUTH only there."

SERVICE_REMEDY = "Require TLS between mail servers (MTA-STS, DANE), and of clients."


class SmtpParser(ReplyParser):
    """Mail in the clear is one finding of a connection; DATA and BDAT are passed over."""

    remedy = REMEDY

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._mail_told = False

    def command(self, verb: str, argument: int, line: Line) -> None:
        if verb == "AUTH":
            self.authenticate(self.send(verb), line, argument)
        elif verb == "MAIL" and not self._mail_told and line.data[argument : argument + 5].upper() == b"FROM:":
            self.send(verb, self._mail(line))
        elif verb:
            self.send(verb)
        if verb == "DATA":
            self.lines[Sender.CLIENT].skip_until(b"\r\n.\r\n")
        elif verb == "BDAT":
            size = line.data[argument:].split(b" ")[0]
            self.lines[Sender.CLIENT].skip(int(size) if size.isdigit() and len(size) < 12 else 0)

    def reply(self, code: int, line: Line) -> None:
        if code == 334:
            self.go_on()
            return
        if code == 235:
            while self.sent and self.sent[0].verb != "AUTH":
                self.answer(self.sent.popleft())
        if not self.sent or (code == 220 and self.sent[0].verb != "STARTTLS"):
            return
        if code == 354 and self.sent[0].verb == "DATA":
            self.sent[0].verb = "the end of DATA"
            return
        command = self.sent.popleft()
        if command.verb in {"DATA", "the end of DATA"} and self.lines[Sender.CLIENT].skipping:
            self.lines[Sender.CLIENT].stop_skipping()
        accepted = code == 235 or (command.verb == "MAIL" and code < 400)
        self.answer(command, Outcome.ACCEPTED if accepted else Outcome.REFUSED, line)
        if code == 220 and command.verb == "STARTTLS":
            self.end()
            self.done = True

    def answer(self, command: Command, outcome: Outcome = Outcome.UNKNOWN, line: Line | None = None) -> None:
        if command.verb == "MAIL" and command.finding:
            if self._mail_told or outcome == Outcome.REFUSED:
                command.finding = None
            self._mail_told = self._mail_told or command.finding is not None
            outcome = Outcome.UNKNOWN
        super().answer(command, outcome, line)

    def _mail(self, line: Line) -> Finding:
        return Finding(Kind.SERVICE, line.time, (line.frame,), "MAIL", Severity.LOW, SERVICE_REMEDY)


PROTOCOLS = (
    Plaintext(
        "smtp",
        "SMTP",
        SmtpParser,
        tcp_ports=(25, 587),
        patterns=(
            Pattern(rb"^220[- ][^\r\n]{0,200}E?SMTP\b", Sender.SERVER),
            Pattern(rb"^(?i:EHLO|HELO|LHLO) [^\r\n ]{1,255}\r\n", Sender.CLIENT),
        ),
    ),
)
