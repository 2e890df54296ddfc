"""Telnet sessions as their users saw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from spanline.plaintext.model import Conversation, Finding, Kind, Piece, Severity
from spanline.plaintext.parsers import telnet
from spanline.plaintext.parsers.telnet import TelnetParser
from spanline.plaintext.redaction import Shows
from spanline.plaintext.session import Session
from spanline.stages.plaintext import Plaintext

CLAIMED_BYTES = 16 << 20
"""Of each side of a session."""

# What an event takes beside its text.
_EVENT = 200


@dataclass(slots=True)
class Transcript(Finding):
    """What its user saw of a session, and the attempts to log in; a finding so that it comes with its conversation."""

    session: Session = field(default_factory=Session)
    findings: tuple[Finding, ...] = ()


class _Transcribed(TelnetParser):
    """Finds nothing but a Transcript, of what turns out to be a session."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation, transcript=True)
        self._findings: list[Finding] = []
        self._begun: tuple[int, int] | None = None

    def feed(self, piece: Piece) -> Iterable[Finding]:
        self._begun = self._begun or (piece.time, piece.frame)
        self._findings += super().feed(piece)
        return ()

    def finish(self) -> Iterable[Finding]:
        self._findings += super().finish()
        if not self._findings or self._begun is None or self.session is None:
            return ()
        time, frame = self._begun
        findings, self._findings = tuple(self._findings), []
        kind = Kind.SERVICE, time, (frame,), "Telnet", Severity.MEDIUM, telnet.REMEDY
        return (Transcript(*kind, session=self.session, findings=findings),)


@dataclass(frozen=True, slots=True)
class TelnetSession:
    """A session: who spoke with whom, what happened on the screen, and the attempts to log in."""

    conversation: Conversation
    session: Session
    findings: tuple[Finding, ...]


class TelnetSessions(Plaintext):
    """Follows all telnet sessions. What drain() takes out is kept here, and there are no Tables of it.

    memory    bytes for payload that waits, and as many again for sessions that are over
    left_out  sessions for which there was no room any more
    """

    def __init__(self, shows: Shows, *, memory: int) -> None:
        protocols = [replace(one, parser=_Transcribed) for one in telnet.PROTOCOLS]
        super().__init__(shows, protocols=protocols, memory=memory, claimed_bytes=CLAIMED_BYTES)
        self._room = memory
        self._sessions: list[TelnetSession] = []
        self.left_out = 0

    def drain(self) -> Mapping[str, pa.Table]:
        for one in self.take():
            if isinstance(one.finding, Transcript):
                session = one.finding.session
                self._room -= sum(len(event.text) + _EVENT for event in session.events)
                if self._room < 0:
                    self.left_out += 1
                else:
                    self._sessions.append(TelnetSession(one.conversation, session, one.finding.findings))
        return {}

    def sessions(self) -> list[TelnetSession]:
        """All sessions, by the time at which they began; the stage is over."""
        self.tables()
        return sorted(self._sessions, key=lambda one: (one.conversation.first_seen, one.conversation.client_port))
