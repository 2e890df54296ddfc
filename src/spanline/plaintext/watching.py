"""Where rules of the user match in conversations that are followed."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from spanline.plaintext.model import Finding, Kind, Piece, Sender, Span
from spanline.plaintext.scanning import RuleMatch, Scanner

_MOST_FRAMES = 16


@dataclass(slots=True)
class _Head:
    """What one side sent first.

    pieces  of each: where it begins in `octets`, its offset in what the side sent, its frame and its time
    """

    octets: bytearray = field(default_factory=bytearray)
    pieces: list[tuple[int, int, int, int]] = field(default_factory=list)
    is_over: bool = False


class Watch:
    """Keeps the heads of one conversation, as long as `head_bytes` each, and tells once of each what rules match.

    protocol  what it is followed as, "" for none: rules may be for one protocol only
    """

    def __init__(self, head_bytes: int, protocol: str) -> None:
        self._head_bytes = head_bytes
        self._protocol = protocol
        self._heads = {sender: _Head() for sender in Sender}

    @property
    def done(self) -> bool:
        return all(head.is_over for head in self._heads.values())

    def feed(self, piece: Piece, scanner: Scanner) -> list[Finding]:
        head = self._heads[piece.sender]
        if head.is_over:
            return []
        head.pieces.append((len(head.octets), piece.offset, piece.frame, piece.time))
        head.octets += piece.data[: self._head_bytes - len(head.octets)]
        return self._look(piece.sender, scanner) if len(head.octets) == self._head_bytes else []

    def finish(self, scanner: Scanner) -> list[Finding]:
        return [finding for sender in Sender for finding in self._look(sender, scanner)]

    def _look(self, sender: Sender, scanner: Scanner) -> list[Finding]:
        head = self._heads[sender]
        if head.is_over:
            return []
        head.is_over = True
        beginning = scanner.scan_one(bytes(head.octets), sender)
        matches = beginning.rules if beginning else ()
        found = [_finding(match, head, sender) for match in matches if match.rule.protocol in ("", self._protocol)]
        head.octets.clear()
        head.pieces.clear()
        return found


def _finding(match: RuleMatch, head: _Head, sender: Sender) -> Finding:
    """Of all places where the rule matches, with the frames of the first."""
    starts = [piece[0] for piece in head.pieces]

    def offset(at: int) -> int:
        start, begins_at, _, _ = head.pieces[bisect_right(starts, at) - 1]
        return begins_at + at - start

    first, last = match.places[0]
    touched = head.pieces[bisect_right(starts, first) - 1 : bisect_right(starts, max(first, last - 1))]
    return Finding(
        Kind.RULE,
        touched[0][3],
        tuple(dict.fromkeys(frame for _, _, frame, _ in touched[:_MOST_FRAMES])),
        match.rule.name,
        match.rule.severity,
        match.rule.remedy,
        secret=match.secret,
        spans=tuple(Span(sender, offset(start), offset(end - 1) + 1) for start, end in match.places if end > start),
        detail=match.rule.message,
    )
