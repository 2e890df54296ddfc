"""FTP logins: USER, PASS and ACCT. RFC 959 section 4.1.1; over TLS after AUTH, RFC 4217."""

from __future__ import annotations

from spanline.plaintext.commands import ReplyParser
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

REMEDY = "Use SFTP, or FTP over TLS (AUTH TLS) and refuse logins without it."

ANONYMOUS = {"anonymous", "ftp"}
"""RFC 1635: accounts of everybody, whose password is an e-mail address."""

_LOGIN = {"USER", "PASS", "ACCT"}
_LOGGED_IN = {202, 230, 232}
_NEXT = {331, 332}


class FtpParser(ReplyParser):
    remedy = REMEDY

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._user = ""
        self._user_frame = 0
        self._needs_account: Finding | None = None

    def command(self, verb: str, argument: int, line: Line) -> None:
        finding = None
        if verb == "USER":
            self._user, self._user_frame = text(line.data[argument:].strip()), line.frame
        elif verb == "REIN":
            self._user, self._user_frame = "", 0
        elif verb == "PASS":
            finding = self.credential("USER and PASS", self._user, line, argument, self._user_frame)
            finding.severity = self._severity()
        elif verb == "ACCT" and self._needs_account:
            finding, self._needs_account = self._needs_account, None
            finding.frames += (line.frame,)
            finding.spans += (line.span(argument),)
        if verb:
            self.send(verb, finding)

    def reply(self, code: int, line: Line) -> None:
        if code < 200 or not self.sent or (code == 220 and self.sent[0].verb != "REIN"):
            return
        if code in _LOGGED_IN or code in _NEXT:
            while self.sent[0].verb not in _LOGIN:
                self.answer(self.sent.popleft())
                if not self.sent:
                    return
        command = self.sent.popleft()
        if code == 234 and command.verb == "AUTH":
            self.end()
            self.done = True
        elif code == 332 and command.finding:
            self._needs_account, command.finding = command.finding, None
            self._needs_account.frames += (line.frame,)
        elif command.verb == "USER" and (code in _LOGGED_IN or code == 530):
            command.finding = self._without_password(line, code)
        self.answer(command, Outcome.ACCEPTED if code in _LOGGED_IN else Outcome.REFUSED, line)

    def end(self) -> None:
        super().end()
        if self._needs_account:
            self.give(self._needs_account)
            self._needs_account = None

    def _without_password(self, line: Line, code: int) -> Finding:
        """USER alone lets in, or is refused."""
        return Finding(
            Kind.CREDENTIAL,
            line.time,
            (self._user_frame,) if self._user_frame else (),
            "USER",
            Severity.LOW,
            REMEDY,
            account=self._user,
            detail="refused before a password was asked for" if code == 530 else "no password was asked for",
        )

    def _severity(self) -> Severity:
        return Severity.LOW if self._user.lower() in ANONYMOUS else Severity.HIGH


PROTOCOLS = (
    Plaintext(
        "ftp",
        "FTP",
        FtpParser,
        tcp_ports=(21,),
        patterns=(
            Pattern(rb"^220[- ][^\r\n]{0,200}(?i:ftp|filezilla)", Sender.SERVER),
            Pattern(rb"^220 [^\r\n]{0,200}\r\n(331|530) ", Sender.SERVER),
            Pattern(
                rb"^(AUTH (TLS|SSL)\r\n)?USER [^\r\n]{1,100}\r\nPASS [^\r\n]{0,100}\r\n"
                rb"(SYST|FEAT|PWD|CWD|TYPE|PASV|EPSV|PORT|EPRT|OPTS|RETR|STOR|SITE)\b",
                Sender.CLIENT,
            ),
        ),
    ),
)
