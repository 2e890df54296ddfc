"""TFTP. RFC 1350 section 5: |1 to read, 2 to write|file name|0|mode|0|options (RFC 2347); nobody logs in.

The server answers from another port, which is another conversation: whether the file was given is not told.
"""

from __future__ import annotations

import re
from collections import deque

from spanline.plaintext.lines import text
from spanline.plaintext.model import Conversation, Finding, Kind, Pattern, Piece, Plaintext, Sender, Severity
from spanline.plaintext.records import Dialogue

# Scanners leave out name and mode.
_REQUEST = re.compile(rb"\x00([\x01\x02])([^\x00]{0,255})\x00(?i:netascii|octet|mail|)\x00", re.DOTALL)
_SCHEMES = {b"\x01": "read request", b"\x02": "write request"}
# What holds passwords or keys in most devices.
_TELLING = re.compile(
    rb"(?i)config|confg|startup|running|backup|passwd|shadow|secret|\.(cfg|cnf|conf|xml|key|pem|img)$"
)
_DATA, _LAST_OPERATION = 3, 6
_MOST_KNOWN = 64
_REMEDY = "Use SFTP, SCP or HTTPS; limit TFTP to a network of its own."


class Tftp(Dialogue):
    """Tells each file once: what is not acknowledged is asked again."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._known: deque[bytes] = deque(maxlen=_MOST_KNOWN)

    def take(self, piece: Piece) -> None:
        match = _REQUEST.match(piece.data)
        if match is None:
            if not (len(piece.data) >= 4 and piece.data[0] == 0 and _DATA <= piece.data[1] <= _LAST_OPERATION):
                self.stop()
            return
        request = match[0]
        if request in self._known:
            return
        self._known.append(request)
        severity = Severity.MEDIUM if _TELLING.search(match[2]) else Severity.LOW
        self.tell(
            Finding(
                Kind.SERVICE,
                piece.time,
                (piece.frame,),
                _SCHEMES[match[1]],
                severity,
                _REMEDY,
                detail=f"file {text(match[2])}" if match[2] else "no file name",
            )
        )


PROTOCOLS = (
    Plaintext(
        "tftp",
        "TFTP",
        Tftp,
        patterns=(Pattern(rb"^\x00[\x01\x02][\x20-\x7e]{1,255}\x00(?i:netascii|octet|mail)\x00", Sender.CLIENT),),
    ),
)
