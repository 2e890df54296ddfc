"""When heads of conversations are handed out, and what of them is kept.

Oracle: the bytes that went into the segments; how much is kept of whom, and when it is looked at, as docstrings of
Payloads say.
"""

from __future__ import annotations

import numpy as np

from tests.craft import ethernet, ipv4, udp
from tests.craft_files import START, Record
from tests.payload_listener import Head, Listener, Said, handshake, joined, listen, only, segment
from tests.rows import decode_all

MS, SECOND = 1_000_000, 1_000_000_000


def test_heads_are_handed_out_when_they_are_full() -> None:
    """And not again; of who is not claimed nothing more is kept."""
    listener = Listener(claim=False, head_bytes=10)
    frames = [*handshake(), segment(0, 0, b"0123456"), segment(0, 7, b"789abcdef"), segment(1, 0, b"x")]
    listener.hear(decode_all(frames))
    assert listener.heads == {1: [Head(0, b"0123456789", "full")]}
    listener.hear(decode_all([segment(0, 16, b"more"), segment(1, 1, b"y" * 20)]))
    assert listener.heads[1][1:] == [Head(1, b"x" + b"y" * 9, "full")]
    listener.hear(decode_all([segment(0, 20, b"more")]))
    assert listener.payloads.kept == 0
    listener.finish()
    assert len(listener.heads[1]) == 2


def test_what_came_before_and_after_the_claim_is_all_there() -> None:
    """Claimed by the head of one side after the other's was not wanted: of that one only the head is there."""
    listener = Listener(claim=False, head_bytes=4)
    listener.hear(decode_all([*handshake(), segment(0, 0, b"ab"), segment(1, 0, b"12345678"), segment(0, 2, b"c")]))
    listener.claim = True
    listener.hear(decode_all([segment(1, 8, b"9"), segment(0, 3, b"def")]))
    assert listener.heads[1] == [Head(1, b"1234", "full"), Head(0, b"abcd", "full")]
    listener.hear(decode_all([segment(1, 9, b"X"), segment(0, 8, b"i")]))
    listener.finish()
    assert [piece for piece in only(listener) if piece.sender == 1] == [
        Said(1, 0, b"1234", 0, ""),
        Said(1, 9, b"X", 5, ""),
    ]


def test_heads_are_handed_out_early() -> None:
    """A second after the first byte, by whatever packet says so; and once more when they have grown."""
    listener = Listener(claim=False)
    listener.hear(decode_all([*handshake(), segment(1, 0, b"login: "), segment(0, 0, b"a")]))
    assert listener.heads == {}
    listener.hear(decode_all([Record(START + 3 * MS + SECOND, ethernet() / ipv4() / udp(1, 2) / b"?")]))
    assert listener.heads == {1: [Head(0, b"a", "early"), Head(1, b"login: ", "early")]}
    listener.hear(decode_all([Record(START + 3 * SECOND, segment(0, 1, b"nna"))]))
    listener.finish()
    assert listener.heads[1][2:] == [Head(0, b"anna", "ended")]


def test_heads_are_handed_out_early_when_both_sides_have_spoken() -> None:
    listener = Listener(claim=False)
    listener.hear(decode_all([*handshake(), segment(0, 0, b"q"), segment(1, 0, b"a" * 511)]))
    assert listener.heads == {1: [Head(0, b"q", "early"), Head(1, b"a" * 511, "early")]}


def test_what_is_released_is_forgotten() -> None:
    listener = Listener()
    listener.hear(decode_all([*handshake(), segment(0, 0, b"a" * 5000)]))
    assert len(listener.pieces[1]) == 1
    listener.payloads.release(np.zeros(1, np.uint32))
    listener.hear(decode_all([segment(0, 5000, b"b" * 5000)]))
    listener.finish()
    assert len(listener.pieces[1]) == 1
    assert listener.payloads.kept == 0


def test_of_a_claimed_conversation_as_much_is_kept_as_was_asked_for() -> None:
    """Counted over all of it, of each direction; the end says that there was more."""
    listener = Listener(head_bytes=8, claimed_bytes=100)
    frames = [*handshake(), *(segment(0, n * 30, bytes([n]) * 30) for n in range(6)), segment(1, 0, b"ok")]
    for frame in frames:
        listener.hear(decode_all([frame]))
    listener.finish()
    pieces = listener.pieces[1]
    assert joined(pieces, 0) == b"".join(bytes([n]) * 30 for n in range(4))[:100]
    assert joined(pieces, 1) == b"ok"
    assert pieces[-1].flags == "ended limit"
    assert listener.payloads.counters.beyond == 80


def test_long_pieces_are_joined_and_short_ones_are_not() -> None:
    """A bulk transfer is few pieces; each keystroke keeps its frame and time."""
    bulk = [segment(0, n * 1000, bytes([n]) * 1000) for n in range(40)]
    keys = [segment(1, n, bytes([n])) for n in range(40)]
    listener = listen([*handshake(), *bulk, *keys])
    pieces = only(listener)
    assert [len(piece.octets) for piece in pieces] == [40000, *[1] * 40]
    assert listener.frames[1][0] == (43, START + 42 * MS)
    assert listener.frames[1][1] == (44, START + 43 * MS)
