"""Services that encrypt nothing, told once a conversation by what they begin with."""

from __future__ import annotations

import re
from typing import ClassVar

from spanline.plaintext.model import Conversation, Finding, Kind, Piece, Sender, Severity
from spanline.plaintext.records import Dialogue


class Service(Dialogue):
    """Tells the service when the first bytes of either side, or of a datagram, match. One that does not is not it.

    begins    with DOTALL, from the first byte
    most      bytes of a side in which it has to begin
    """

    begins: ClassVar[re.Pattern[bytes]]
    most: ClassVar[int] = 64
    scheme: ClassVar[str]
    severity: ClassVar[Severity]
    remedy: ClassVar[str]

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._heads = {Sender.CLIENT: bytearray(), Sender.SERVER: bytearray()}

    def take(self, piece: Piece) -> None:
        head = self._heads[piece.sender]
        head += piece.data[: self.most - len(head)]
        if match := self.begins.match(head):
            self.tell(
                Finding(
                    Kind.SERVICE,
                    piece.time,
                    (piece.frame,),
                    self.scheme,
                    self.severity,
                    self.remedy,
                    detail=self.detail(match),
                )
            )
            self.stop()
        elif len(head) >= self.most or self.conversation.transport == "udp":
            self.stop()

    def detail(self, match: re.Match[bytes]) -> str:
        """What the beginning says more."""
        return ""
