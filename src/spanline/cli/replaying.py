"""`spanline follow --telnet --replay`: sessions on the terminal, in the time that they took."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click
from rich.console import Console
from rich.text import Text

from spanline.cli import signals
from spanline.cli.screen import Line, console, draw_lines
from spanline.cli.telnet_view import about, part, shown
from spanline.plaintext.redaction import Shows
from spanline.plaintext.session import Session, Who
from spanline.stages.follow_telnet import TelnetSession


def require_terminal() -> None:
    if not sys.stdout.isatty():
        raise click.UsageError("--replay plays on a terminal, and standard output is none; leave it out")


def replay(sessions: Sequence[TelnetSession], shows: Shows, speed: float, longest_pause: float) -> None:
    """Plays one after another, `speed` times as fast; longer pauses of a session last `longest_pause` seconds."""
    target = console()
    # Whoever interrupts it finds the cursor on a line of its own, and no colour left.
    signals.last_words = b"\x1b[0m\r\n"
    for n, one in enumerate(sessions):
        draw_lines(target, [*([Line("")] if n else []), *about(one, shows), Line("")])
        _play(one.session, shows, speed, longest_pause, target)
    signals.last_words = b""


def _play(session: Session, shows: Shows, speed: float, longest_pause: float, target: Console) -> None:
    latest = session.events[0].time if session.events else 0
    entered = False
    for event in session.events:
        time.sleep(min(max(event.time - latest, 0) / 1e9 / speed, longest_pause))
        latest = max(latest, event.time)
        if entered and not event.text.startswith("\n"):
            target.print()
        entered = event.who is Who.TYPED
        lines = [shown(event, shows)] if entered else event.text.split("\n")
        for n, text in enumerate(lines):
            if n:
                target.print()
            line = part(event, text)
            target.print(Text(line.text, line.style), end="", soft_wrap=True)
        target.file.flush()
    target.print()
