"""Telnet sessions on a terminal: who, which attempts to log in, and the screen as the user saw it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from spanline.cli.screen import Line, draw_lines
from spanline.cli.text import date, duration, plural, printable, rfc3339, time_of_day
from spanline.plaintext.model import Conversation, Finding
from spanline.plaintext.redaction import Revealer, Shows
from spanline.plaintext.session import MASK, Event, Session, Who
from spanline.stages.follow_telnet import TelnetSession

BEFORE, BEHIND = "«", "»"
"""Around what was typed, where there is no colour to tell it."""

TYPED, HIDDEN = "bold cyan", "bold red"
"""Styles of what was typed, and of secrets."""

# Before a line that came this long after the one above, there is its time.
_PAUSE = 10**9
_MARGIN = 10


class Part(NamedTuple):
    """A part of a line: text in a style, "" for what was printed."""

    text: str
    style: str = ""


class Row(NamedTuple):
    """A line of the screen, and when it began, ns since the epoch."""

    time: int
    parts: list[Part]


def print_sessions(sessions: Sequence[TelnetSession], shows: Shows, target: Console) -> None:
    for n, one in enumerate(sessions):
        draw_lines(target, [*([Line("")] if n else []), *about(one, shows), Line("")])
        _draw(rows(one.session, shows), target)
        if one.session.cut:
            draw_lines(target, [Line("There was more; what is kept of a session ends here.", "dim")])


def about(one: TelnetSession, shows: Shows) -> list[Line]:
    """What stands above a session: its ends, when and at what terminal, and each attempt to log in."""
    events, session = one.session.events, one.session
    begun = one.conversation.first_seen
    facts = [f"{date(begun)} {time_of_day(begun, 3)} UTC"]
    if events:
        facts.append(duration(events[-1].time - begun))
    if session.terminal_type:
        facts.append(f"terminal {session.terminal_type}")
    if session.window:
        facts.append(f"{session.window[0]}×{session.window[1]}")
    facts.append(plural(len(session.commands), "command line"))
    title = Line(f"telnet {ends_text(one.conversation)}", "bold")
    return [title, Line(", ".join(facts), "dim"), *(_attempt(finding, shows) for finding in one.findings)]


def ends_text(conversation: Conversation) -> str:
    sides = (conversation.client, conversation.client_port), (conversation.server, conversation.server_port)
    client, server = (f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address, port in sides)
    return f"{client} → {server}" + ("" if conversation.vni is None else f", VNI {conversation.vni}")


def _attempt(finding: Finding, shows: Shows) -> Line:
    if finding.secret is None:
        return Line(f"{finding.account or 'no login was seen'}{f': {finding.detail}' if finding.detail else ''}")
    inferred = ", inferred" if finding.inferred else ""
    account = finding.account or "no account"
    return Line(f"{account}, password {shows.text(finding.secret)}: {finding.outcome}{inferred}")


def rows(session: Session, shows: Shows) -> Iterator[Row]:
    """The lines of the screen. Nothing in them is acted upon by a terminal."""
    row: Row | None = None
    entered = False
    for event in session.events:
        if row is not None and entered and not event.text.startswith("\n"):
            yield row
            row = None
        entered = event.who is Who.TYPED
        first, *rest = [shown(event, shows)] if entered else event.text.split("\n")
        row = row or Row(event.time, [])
        row.parts.append(part(event, first))
        for text in rest:
            yield row
            row = Row(event.time, [part(event, text)])
    if row is not None and any(one.text for one in row.parts):
        yield row


def shown(event: Event, shows: Shows) -> str:
    """The text of an event as it may be shown."""
    return MASK if event.secret and not isinstance(shows, Revealer) else event.text


def part(event: Event, text: str) -> Part:
    style = "" if event.who is Who.PRINTED else HIDDEN if event.secret else TYPED
    return Part(printable(text), style)


def _draw(lines: Iterator[Row], target: Console) -> None:
    """Rows behind their time, where it is a while since the one above."""
    latest: int | None = None
    for row in lines:
        pause = latest is None or row.time - latest >= _PAUSE
        latest = row.time
        margin = (time_of_day(row.time, 0) if pause else "").ljust(_MARGIN)
        if target.is_terminal:
            target.print(Text.assemble((margin, "dim"), *row.parts), soft_wrap=True)
        else:
            texts = (f"{BEFORE}{one.text}{BEHIND}" if one.style else one.text for one in row.parts)
            target.file.write(f"{margin}{''.join(texts)}".rstrip() + "\n")


def session_objects(sessions: Sequence[TelnetSession], shows: Shows) -> Iterator[dict[str, Any]]:
    """A session each, as it goes into JSON."""
    for one in sessions:
        conversation, session = one.conversation, one.session
        yield {
            "time": rfc3339(conversation.first_seen),
            "client": conversation.client,
            "client_port": conversation.client_port,
            "server": conversation.server,
            "server_port": conversation.server_port,
            "vlan": conversation.vlan,
            "vni": conversation.vni,
            "terminal_type": session.terminal_type or None,
            "window": session.window,
            "attempts": [_attempt_object(finding, shows) for finding in one.findings if finding.secret is not None],
            "commands": [
                {"time": rfc3339(c.time), "frame": c.frame, "text": c.text, "from_echo": c.from_echo}
                for c in session.commands
            ],
            "events": [
                {
                    "time": rfc3339(event.time),
                    "frame": event.frame,
                    "who": event.who,
                    "text": shown(event, shows),
                    "secret": event.secret,
                }
                for event in session.events
            ],
            "cut": session.cut,
        }


def _attempt_object(finding: Finding, shows: Shows) -> dict[str, Any]:
    return {
        "time": rfc3339(finding.time),
        "frames": list(finding.frames),
        "account": finding.account,
        "secret": None if finding.secret is None else shows.text(finding.secret),
        "outcome": finding.outcome,
        "inferred": finding.inferred,
    }
