"""The "r" commands of BSD. RFC 1282 (rlogin), and the manual pages of rshd(8) and rexecd(8).

rlogin  |0|user of the client|0|user of the server|0|terminal/speed|0|, then keys, a password's when it is asked for
rsh     port in decimal|0|user of the client|0|user of the server|0|command|0|
exec    port in decimal|0|user|0|password|0|command|0|

Who is believed by name (rlogin without a password, rsh) is told as a service: whoever can send from that address is in.
"""

from __future__ import annotations

import re
from abc import abstractmethod

from spanline.plaintext.lines import text
from spanline.plaintext.model import (
    Conversation,
    Finding,
    Kind,
    Outcome,
    Pattern,
    Piece,
    Plaintext,
    Secret,
    Sender,
    Severity,
    Span,
)
from spanline.plaintext.records import Dialogue, with_frames

_REMEDY = "Use SSH, and remove the r commands and their .rhosts files."
_WORDS = 4
_MOST_HEAD = 1024
_MOST_TYPED = 256
_MOST_HEARD = 512
# RFC 1282, "Window Size Change": this and 8 bytes more, which nobody typed.
_WINDOW, _WINDOW_REST = b"\xff\xffss", 8
_ERASE, _KILL, _ENDS = (0x08, 0x7F), 0x15, (0x0D, 0x0A)
_ASKS_PASSWORD = re.compile(rb"(?i)(password|passwort|kennwort|contrase\S+|passe)[^\r\n]{0,64}: ?$")
_ASKS_NAME = re.compile(rb"(?i)(login|username)[^\r\n]{0,64}: ?$")
_REFUSES = re.compile(rb"(?i)incorrect|denied|invalid|(?<!last )failed|refused")
_LINE = re.compile(rb"[^\s][^\n]*\n")
_NAME = re.compile(rb"[\x21-\x7e]{1,64}")
_PORT = re.compile(rb"[0-9]{0,5}")


class _Words(Dialogue):
    """What the client begins with: _WORDS words, each ended by a zero."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self.frames: tuple[int, ...] = ()
        self._head = bytearray()
        self._begun = False

    def take(self, piece: Piece) -> None:
        if piece.sender == Sender.SERVER:
            self.listen(piece)
        elif self._begun:
            self.follow(piece, 0)
        elif piece.gap or piece.offset != len(self._head):
            self.stop()
        else:
            self._collect(piece)

    def _collect(self, piece: Piece) -> None:
        self.frames = with_frames(self.frames, (piece.frame,))
        before = len(self._head)
        self._head += piece.data[: _MOST_HEAD - before]
        words = bytes(self._head).split(b"\0", _WORDS)
        if len(words) > _WORDS:
            self._begun = True
            self._head.clear()
            if not self.begin(words[:_WORDS], piece.time):
                self.stop()
            else:
                self.follow(piece, sum(len(word) + 1 for word in words[:_WORDS]) - before)
        elif len(self._head) == _MOST_HEAD:
            self.stop()

    @abstractmethod
    def begin(self, words: list[bytes], time: int) -> bool:
        """Whether the words are those of the protocol."""

    def listen(self, piece: Piece) -> None:
        """What the server sends: first a zero, or why not."""
        if self._begun and piece.data:
            self.answer(Outcome.REFUSED if piece.data[0] else Outcome.ACCEPTED, (piece.frame,))
            self.stop()

    def follow(self, piece: Piece, at: int) -> None:
        """What the client sends afterwards begins at a place of the piece."""


class Rsh(_Words):
    def begin(self, words: list[bytes], time: int) -> bool:
        port, local, remote, command = words
        if not (_PORT.fullmatch(port) and _NAME.fullmatch(local) and _NAME.fullmatch(remote) and command):
            return False
        finding = Finding(Kind.SERVICE, time, self.frames, "user by name", Severity.HIGH, _REMEDY, text(remote))
        finding.detail = f"a command of user {text(local)}"
        self.wait(finding)
        return True


class Exec(_Words):
    def begin(self, words: list[bytes], time: int) -> bool:
        port, user, password, command = words
        if not (_PORT.fullmatch(port) and _NAME.fullmatch(user) and command):
            return False
        finding = Finding(Kind.CREDENTIAL, time, self.frames, "user and password", Severity.HIGH, _REMEDY, text(user))
        start = len(port) + len(user) + 2
        finding.secret = Secret(password)
        finding.spans = (Span(Sender.CLIENT, start, start + len(password)),)
        self.wait(finding)
        return True


class Rlogin(_Words):
    """Follows lines until one is taken for a password and what the server says to it tells the outcome."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._account = ""
        self._detail = ""
        self._time = 0
        self._asked = ""
        self._attempted = False
        self._heard = bytearray()
        self._typed = bytearray()
        self._typed_from = -1
        self._typed_frames: tuple[int, ...] = ()
        self._window = 0

    def begin(self, words: list[bytes], time: int) -> bool:
        _, local, remote, terminal = words
        if words[0] or not (_NAME.fullmatch(local) and _NAME.fullmatch(remote) and _NAME.fullmatch(terminal)):
            return False
        self._account, self._detail, self._time = text(remote), f"user {text(local)} of the client", time
        return True

    def listen(self, piece: Piece) -> None:
        self._heard += piece.data[: _MOST_HEARD - len(self._heard)]
        if self.waits() and (line := _LINE.search(self._heard)):
            self._judge(line[0], piece.frame)

    def _judge(self, said: bytes | bytearray, frame: int) -> None:
        """What the server says to an attempt: its first line, or what stands before the client types again."""
        if not said.strip(b"\0\r\n\t "):
            return
        refused = _REFUSES.search(said) or _ASKS_PASSWORD.search(said) or _ASKS_NAME.search(said)
        self.answer(Outcome.REFUSED if refused else Outcome.ACCEPTED, (frame,))
        if not refused:
            self.stop()

    def follow(self, piece: Piece, at: int) -> None:
        for n in range(at, len(piece.data)):
            if self.done:
                return
            octet = piece.data[n]
            if self._window < len(_WINDOW) and octet == _WINDOW[self._window]:
                self._window += 1
            elif self._window >= len(_WINDOW):
                self._window = self._window + 1 if self._window < len(_WINDOW) + _WINDOW_REST - 1 else 0
            else:
                self._window = 0
                self._type(piece, n, octet)

    def _type(self, piece: Piece, n: int, octet: int) -> None:
        if self._typed_from < 0:
            if octet in _ENDS:
                return
            self._begin_line(piece, n)
        if octet in _ENDS:
            self._end_line(piece, n)
        elif octet in _ERASE:
            del self._typed[-1:]
        elif octet == _KILL:
            self._typed.clear()
        elif len(self._typed) < _MOST_TYPED:
            self._typed.append(octet)
        self._typed_frames = with_frames(self._typed_frames, (piece.frame,))

    def _begin_line(self, piece: Piece, n: int) -> None:
        self._typed_from = piece.offset + n
        self._typed_frames = ()
        if self.waits():
            self._judge(self._heard, piece.frame)
        if _ASKS_PASSWORD.search(self._heard) or not self.heard:
            self._asked = "password"
        elif _ASKS_NAME.search(self._heard):
            self._asked = "name"
        elif not self.done:
            self.end()
            self.stop()

    def _end_line(self, piece: Piece, n: int) -> None:
        if self._asked == "name":
            self._account = text(bytes(self._typed))
        elif self._asked:
            frames = with_frames(with_frames(self.frames, self._typed_frames), (piece.frame,))
            finding = Finding(
                Kind.CREDENTIAL, piece.time, frames, "typed password", Severity.HIGH, _REMEDY, self._account
            )
            finding.secret, finding.detail = Secret(bytes(self._typed)), self._detail
            finding.spans = (Span(Sender.CLIENT, self._typed_from, piece.offset + n),)
            self._attempted = True
            self.wait(finding)
            if not self.heard:
                self.stop()
        self._asked = ""
        self._typed_from = -1
        self._typed.clear()
        self._heard.clear()

    def end(self) -> None:
        """A user who was not asked for a password is believed by name."""
        if self.waits():
            self._judge(self._heard, self.frames[-1])
        elif self._account and not self._attempted and not _ASKS_PASSWORD.search(self._heard):
            finding = Finding(
                Kind.SERVICE, self._time, self.frames, "user by name", Severity.HIGH, _REMEDY, self._account
            )
            refused = _REFUSES.search(self._heard)
            finding.detail = self._detail
            if self._heard.strip(b"\0\r\n\t "):
                finding.outcome = Outcome.REFUSED if refused else Outcome.ACCEPTED
            self.tell(finding)


PROTOCOLS = (
    Plaintext(
        "rlogin",
        "rlogin",
        Rlogin,
        tcp_ports=(513,),
        patterns=(
            Pattern(
                rb"^\x00[\x21-\x7e]{1,32}\x00[\x21-\x7e]{1,32}\x00[\x21-\x7e]{2,32}/[0-9]{2,6}\x00",
                Sender.CLIENT,
            ),
        ),
    ),
    Plaintext("rsh", "rsh", Rsh, tcp_ports=(514,)),
    Plaintext("exec", "rexec", Exec, tcp_ports=(512,)),
)
