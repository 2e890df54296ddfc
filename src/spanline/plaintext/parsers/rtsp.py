"""RTSP logins: Basic and Digest. RFC 2326 section 16; RFC 7826 section 19.1. Cameras and recorders are met by it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

from spanline.plaintext.authorization import authorizations, outcome_of
from spanline.plaintext.lines import TLS_HANDSHAKE, add_frame
from spanline.plaintext.messages import Head, Messages, content_length
from spanline.plaintext.model import Conversation, Finding, Parser, Pattern, Piece, Plaintext, Sender

REMEDY = "Use RTSP over TLS (rtsps, port 322), or keep cameras in a network of their own."

_REQUEST = re.compile(rb"[A-Z_]{2,20} +\S+ +RTSP/\d\.\d\s")
_STATUS = re.compile(rb"RTSP/\d\.\d +(\d{3})")
_MOST_UNANSWERED = 64


class RtspParser(Parser):
    """One finding a request, as in HTTP: each of them logs in again."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._messages = Messages(Sender.CLIENT, interleaved=True), Messages(Sender.SERVER, interleaved=True)
        self._unanswered: deque[list[Finding]] = deque()
        self._heard = False
        self._given: list[Finding] = []

    def feed(self, piece: Piece) -> Iterable[Finding]:
        messages = self._messages[piece.sender]
        if self.done or messages.passes(piece):
            return ()
        if not piece.offset and piece.data.startswith(TLS_HANDSHAKE):
            self.done = True
            return ()
        messages.feed(piece)
        while (message := messages.next()) is not None:
            if isinstance(message, Head):
                self._message(message, messages)
        return self._taken()

    def finish(self) -> Iterable[Finding]:
        while self._unanswered:
            self._answer(None)
        self.done = True
        return self._taken()

    def _message(self, head: Head, messages: Messages) -> None:
        lower = head.data.lower()
        if _STATUS.match(head.data):
            self._heard = True
            if messages.resumed:
                messages.resumed = False
                while len(self._unanswered) > 1:
                    self._answer(None)
            self._answer(head)
        elif _REQUEST.match(head.data):
            if len(self._unanswered) == _MOST_UNANSWERED:
                self._answer(None)
            self._unanswered.append(list(authorizations(head, lower, REMEDY)))
        else:
            messages.lose()
            return
        messages.body(content_length(lower) or 0)

    def _answer(self, head: Head | None) -> None:
        for finding in self._unanswered.popleft() if self._unanswered else ():
            status = _STATUS.match(head.data) if head is not None else None
            if head is not None and status is not None:
                finding.outcome = outcome_of(int(status[1]))
                add_frame(finding, head.frame)
            finding.inferred = not self._heard
            self._given.append(finding)

    def _taken(self) -> list[Finding]:
        given, self._given = self._given, []
        return given


PROTOCOLS = (
    Plaintext(
        "rtsp",
        "RTSP",
        RtspParser,
        tcp_ports=(554, 8554),
        patterns=(
            Pattern(rb"^[A-Z_]{4,14} [^\r\n ]{1,500} RTSP/[12]\.0\r?\n", Sender.CLIENT),
            Pattern(rb"^RTSP/[12]\.0 \d{3} ", Sender.SERVER),
        ),
    ),
)
