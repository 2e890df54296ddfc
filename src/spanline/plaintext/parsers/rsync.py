"""rsync's daemon. rsyncd.conf(5), and what versions 2.6 to 3.2 say to it: lines "@RSYNCD: …".

The client names a module after its version, and answers a challenge with "user answer"; files follow as they are.
"""

from __future__ import annotations

import re

from spanline.plaintext.lines import Line, LineParser, add_frame, text
from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Pattern, Plaintext, Severity
from spanline.plaintext.sasl import GUESSABLE

_VERSION, _CHALLENGE, _OK, _ERROR = b"@RSYNCD: ", b"@RSYNCD: AUTHREQD ", b"@RSYNCD: OK", b"@ERROR"
_ANSWER = re.compile(rb"([^\x00-\x20]{1,256}) ([A-Za-z0-9+/]{22,88})")
_REMEDY = "Run rsync over SSH, or its daemon behind TLS."


class Rsync(LineParser):
    """The client's lines are its version, a module, and an answer when one is asked for; then the daemon decides."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._lines = 0
        self._module: Line | None = None
        self._attempt: Finding | None = None

    def client(self, line: Line) -> None:
        self._lines += 1
        if self._lines == 1:
            self._end_unless(line.data.startswith(_VERSION))
        elif self._lines == 2:
            self._module = line
        elif self._module and (match := _ANSWER.fullmatch(line.data)):
            frames = self._module.frame, line.frame
            self._attempt = Finding(
                Kind.CHALLENGE, line.time, frames, "rsync", Severity.MEDIUM, f"{_REMEDY} {GUESSABLE}", text(match[1])
            )
            self._attempt.detail = f"module {text(self._module.data)}"
            self._end_unless(self.heard)
        else:
            self._end_unless(False)

    def server(self, line: Line) -> None:
        if line.data.startswith(_OK):
            self._decide(line, Outcome.ACCEPTED)
        elif line.data.startswith(_ERROR):
            self._decide(line, Outcome.REFUSED)

    def _decide(self, line: Line, outcome: Outcome) -> None:
        if self._module and not self._attempt and outcome == Outcome.ACCEPTED:
            self._attempt = Finding(
                Kind.SERVICE, line.time, (self._module.frame,), "no password", Severity.MEDIUM, _REMEDY
            )
            self._attempt.detail = f"module {text(self._module.data)}"
        if self._attempt:
            self._attempt.outcome = outcome
            add_frame(self._attempt, line.frame)
        self._end_unless(False)

    def _end_unless(self, goes_on: bool) -> None:
        if not goes_on:
            self.end()
            self.done = True

    def end(self) -> None:
        if self._attempt:
            self.give(self._attempt)
            self._attempt = None


PROTOCOLS = (
    Plaintext("rsync", "rsync", Rsync, tcp_ports=(873,), patterns=(Pattern(rb"^@RSYNCD: [0-9]{1,2}(\.[0-9])?[ \n]"),)),
)
