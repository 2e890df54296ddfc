"""Telnet, RFC 854: accounts and passwords as they were typed at prompts, and the session as its user saw it.

Captured in both directions, what was asked tells what was typed, and what was printed after it whether it was accepted.
Of the client's direction alone, lines are taken for what usually follows one another (plaintext/one_sided.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from spanline.plaintext.dialogue import Dialogue
from spanline.plaintext.line_editor import LineEditor
from spanline.plaintext.model import (
    Conversation,
    Finding,
    Kind,
    Outcome,
    Parser,
    Pattern,
    Piece,
    Plaintext,
    Sender,
    Severity,
)
from spanline.plaintext.screen import Screen
from spanline.plaintext.session import Session
from spanline.plaintext.telnet_options import ABORT, BRK, EC, EL, EOF, IP, SUSPEND, Options, Said, Splitter, What

REMEDY = "use SSH instead"

# Commands that stand for a key.
_KEYS = {
    EC: b"\x7f", EL: b"\x15", IP: b"\x03", BRK: b"\x03", EOF: b"\x04", SUSPEND: b"\x1a", ABORT: b"\x1c",
}  # fmt: skip
# What speaks first says that it is something else.
_HEAD_BYTES = 256
_FOREIGN = re.compile(
    rb"\x16\x03[\x00-\x04]|SSH-[12]\.|RFB 00|HTTP/1\."
    rb"|(?:GET|POST|HEAD|PUT|DELETE|OPTIONS|CONNECT|TRACE|PATCH) \S+ HTTP/1"
)
_TEXT = re.compile(rb"[\x00\x07-\x0d\x1b\x20-\x7f]")


class TelnetParser(Parser):
    """Follows one session.

    session  with transcript=True, what happened in it; else None
    """

    def __init__(self, conversation: Conversation, *, transcript: bool = False) -> None:
        super().__init__(conversation)
        self.session = Session() if transcript else None
        self._options = Options()
        self._splitters = Splitter(), Splitter()
        self._heads = bytearray(), bytearray()
        self._editor, self._screen = LineEditor(), Screen()
        self._dialogue = Dialogue(self._screen, self._editor, self._options, self.session)
        self._first: Piece | None = None
        self._last = {Sender.CLIENT: (0, 0), Sender.SERVER: (0, 0)}
        self._server_spoke = False
        self._found_any = False

    def feed(self, piece: Piece) -> Iterable[Finding]:
        if self.done:
            return ()
        is_client = piece.sender is Sender.CLIENT
        if is_client:
            self._dialogue.client_seen = True
        else:
            # Ends what the client's lines alone told, whether one byte or all of a foreign beginning is here.
            self._dialogue.heard()
        if self._is_foreign(piece):
            self.done = True
            if self.session is not None:
                self.session = Session()
            return self._found()
        if self._first is None:
            self._first = Piece(piece.sender, b"", piece.offset, piece.time, piece.frame)
        self._last[piece.sender] = piece.time, piece.frame
        splitter = self._splitters[piece.sender]
        if piece.gap:
            splitter.gap()
            if is_client:
                self._editor.gap()
            else:
                self._screen.gap()
                self._dialogue.gap()
        for said in splitter.feed(piece.data, piece.offset):
            if said.what is What.OPTION or said.what is What.SUBOPTION:
                self._take_option(piece.sender, said)
                if self._options.encrypted:
                    self.done = True
                    break
            elif is_client:
                self._take_keys(said, piece)
            elif said.what is What.TEXT:
                self._take_print(said, piece)
        return self._found()

    def finish(self) -> Iterable[Finding]:
        if self.done or self._first is None:
            return ()
        self.done = True
        self._pause()
        self._dialogue.finish(*max(self._last.values()))
        found = list(self._found())
        return found if self._found_any else self._service()

    def _found(self) -> Iterable[Finding]:
        found = self._dialogue.attempts.take()
        self._found_any |= bool(found)
        return found

    def _is_foreign(self, piece: Piece) -> bool:
        head = self._heads[piece.sender]
        if len(head) >= _HEAD_BYTES:
            return False
        head += piece.data[: _HEAD_BYTES - len(head)]
        return _FOREIGN.match(head) is not None

    def _take_option(self, sender: Sender, said: Said) -> None:
        self._options.take(sender, said)
        if self._options.window is not None:
            self._screen.width = self._options.window[0]
        if self.session is not None:
            self.session.window, self.session.terminal_type = self._options.window, self._options.terminal_type

    def _take_keys(self, said: Said, piece: Piece) -> None:
        keys = said.octets if said.what is What.TEXT else _KEYS.get(said.octets[0], b"")
        if not keys:
            return
        self._pause()
        for line in self._editor.feed(keys, said.offset):
            line.time, line.frame, line.hidden = piece.time, piece.frame, self._options.echo is True
            self._dialogue.typed(line)

    def _take_print(self, said: Said, piece: Piece) -> None:
        self._server_spoke = True
        for line in self._screen.feed(said.octets, said.offset):
            self._dialogue.printed(line, piece.time, piece.frame)

    def _pause(self) -> None:
        """It is the client's turn."""
        if self._server_spoke:
            self._server_spoke = False
            self._dialogue.paused(*self._last[Sender.SERVER])

    def _is_readable(self) -> bool:
        """Whether both sides began with text, and not with line ends alone."""
        heads = [head for head in self._heads if head]
        return all(map(_is_text, heads)) and any(head.strip(b"\r\n\0") for head in heads)

    def _service(self) -> Iterable[Finding]:
        """No secret was seen: the session itself can be read, if it is one."""
        dialogue, first = self._dialogue, self._first
        if first is None or not (self._options.seen or self._is_readable()):
            return ()
        details = []
        if dialogue.commands:
            details.append(f"{dialogue.commands} command line{'s' * (dialogue.commands != 1)}")
        if not (dialogue.client_seen and dialogue.server_seen):
            details.append(f"only the {'client' if dialogue.client_seen else 'server'}'s side was captured")
        shown = dialogue.attempts.service
        return (
            Finding(
                Kind.SERVICE,
                shown.time if shown else first.time,
                shown.frames if shown else (first.frame,),
                "Telnet",
                Severity.MEDIUM,
                REMEDY,
                account=shown.account if shown else dialogue.attempts.name or self._options.user,
                outcome=shown.outcome if shown else Outcome.UNKNOWN,
                inferred=shown is not None,
                detail="; ".join(details),
            ),
        )


def _is_text(head: bytearray) -> bool:
    """Whether nearly all of it is what keyboards send and terminals show."""
    return len(_TEXT.findall(head)) * 10 >= len(head) * 9 or _is_utf8(head)


def _is_utf8(head: bytearray) -> bool:
    """Whether it is text in UTF-8, the last character of it cut perhaps."""
    try:
        return head[:-3].decode("utf-8").replace("\r", "").replace("\n", "").replace("\0", "").isprintable()
    except UnicodeDecodeError:
        return False


# A line of text that is neither a status (220 of FTP, SMTP and NNTP; +OK, * OK), nor markup, nor HTTP or SSH.
_BANNER = (
    rb"(?:(?:[\r\n\x07\x1b\x20-\x29\x2c-\x2f:;=-GI-RT-Z\[-z|~\x80-\xff]|H[^T]|S[^S])[^\x00-\x06\x0e-\x1a\x7f]{0,1000})?"
    rb"[\r\n\x1b ]"
)
_PROMPT = (
    rb"(?i:login|username|user name|user id|benutzername|benutzerkennung|identifiant|utilisateur|usuario|utente"
    rb"|gebruikersnaam|password|passwort|kennwort|mot de passe|wachtwoord"
    rb"|\xe7\x94\xa8\xe6\x88\xb7\xe5\x90\x8d|\xe3\x83\xad\xe3\x82\xb0\xe3\x82\xa4\xe3\x83\xb3"
    rb"|\xd0\xbb\xd0\xbe\xd0\xb3\xd0\xb8\xd0\xbd) ?:"
)

PROTOCOLS = (
    Plaintext(
        "telnet",
        "Telnet",
        TelnetParser,
        patterns=(
            # Options, one after another, or one and then text.
            Pattern(rb"^\xff[\xfb-\xfe][\x00-\x31](?:\xff[\xfa-\xfe]|[\r\n\x20-\x7e]{4})"),
            # No options: the server begins with a question for an account or a password.
            Pattern(rb"^(?:" + _BANNER + rb")?" + _PROMPT, Sender.SERVER),
        ),
    ),
)
