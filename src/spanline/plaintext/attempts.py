"""Attempts to log in at a terminal: who, with which secret, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spanline.plaintext.line_editor import Line
from spanline.plaintext.model import Finding, Kind, Outcome, Secret, Sender, Severity, Span
from spanline.plaintext.prompts import asks_for

REMEDY = "use SSH instead, and change this password"


@dataclass(slots=True)
class Account:
    """Whose the secret is. `frame`: where they said so, 0 when they did not; `privilege`: a command asked for it."""

    name: str
    frame: int = 0
    inferred: bool = False
    privilege: bool = False


@dataclass(slots=True)
class Attempt:
    """A secret that was given, whose outcome is not known yet.

    secret     None where only the server's side is known
    asked      the question that it answers
    commanded  something else was typed after it
    answers    how many lines were printed after it
    """

    account: Account
    secret: Secret | None
    time: int
    frames: list[int]
    spans: list[Span]
    asked: str = ""
    inferred: bool = False
    commanded: bool = False
    answers: int = 0
    details: list[str] = field(default_factory=list)


class Attempts:
    """Keeps who is logging in, and turns each attempt into a Finding.

    found      attempts whose outcome is known, until somebody takes them
    pending    the attempt whose outcome is not
    owner      who is logged in, None for nobody
    service    what the server's side alone tells: the attempt that was accepted, else the last
    """

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.pending: Attempt | None = None
        self.owner: str | None = None
        self.service: Finding | None = None
        self._account: Account | None = None

    @property
    def name(self) -> str:
        """Who is logging in, as far as they said so."""
        return self._account.name if self._account is not None else ""

    def take(self) -> Sequence[Finding]:
        found, self.found = self.found, []
        return found

    def account(self, name: str, frame: int, *, inferred: bool = False) -> None:
        """Somebody said who they are."""
        self._account = Account(name, frame, inferred)

    def rename(self, name: str) -> None:
        """Who they are is what the server showed."""
        if self._account is not None:
            self._account.name = name

    def command(self, text: str, frame: int) -> bool:
        """Somebody typed a command: whether it asks for a secret."""
        if self.pending is not None:
            self.pending.commanded = True
        whose = asks_for(text, self.owner or "")
        self._account = None if whose is None else Account(whose, frame, privilege=True)
        return whose is not None

    def secret(self, line: Line, whose: str = "", user: str = "", asked: str = "", inferred: bool = False) -> Attempt:
        """Somebody gave a secret. `whose` it is by the question, or `user` by the client's own word."""
        account = self._account
        if whose:
            account = Account(whose, account.frame if account else 0, privilege=self.owner is not None)
        elif account is None:
            account = Account(user, inferred=bool(user)) if self.owner is None else Account(self.owner, privilege=True)
        attempt = Attempt(
            account,
            Secret(line.octets),
            line.time,
            [account.frame, line.frame],
            [Span(Sender.CLIENT, line.start, line.stop)],
            asked,
            inferred or account.inferred,
        )
        if not line.certain:
            attempt.details.append("not sure: keys are missing, or what they do is not known")
        self.begin(attempt)
        return attempt

    def shown(self, time: int, frame: int) -> None:
        """The server asked for a secret, and nobody captured what it was."""
        account = self._account or Account("")
        self.begin(Attempt(account, None, time, [account.frame, frame], [], inferred=True))

    def give_up(self) -> None:
        """The secret was typed, and not sent."""
        if self.pending is not None:
            self.pending.details.append("given up before Enter")
        self.resolve(Outcome.UNKNOWN)

    def begin(self, attempt: Attempt) -> None:
        self.resolve(Outcome.UNKNOWN)
        self.pending = attempt

    def resolve(self, outcome: Outcome, frame: int = 0, *, inferred: bool = False) -> None:
        """What became of the pending attempt, if there is one, and the frame that told."""
        attempt, self.pending = self.pending, None
        if attempt is None:
            return
        if outcome is Outcome.ACCEPTED and not attempt.account.privilege:
            self.owner = attempt.account.name
            self._account = None
        finding = Finding(
            Kind.CREDENTIAL if attempt.secret is not None else Kind.SERVICE,
            attempt.time,
            tuple(sorted({number for number in (*attempt.frames, frame) if number})),
            "login and password" if attempt.account.frame and not attempt.account.privilege else "password",
            Severity.HIGH,
            REMEDY,
            attempt.account.name,
            attempt.secret,
            outcome,
            attempt.inferred or inferred,
            tuple(attempt.spans),
            "; ".join(attempt.details),
        )
        if attempt.secret is not None:
            self.found.append(finding)
        elif self.service is None or self.service.outcome is not Outcome.ACCEPTED:
            self.service = finding
