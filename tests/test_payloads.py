"""Payload in order: heads and pieces of conversations that were made for it.

Oracles: the bytes that went into the segments, whatever became of these on the way; RFC 9293 for what a sequence number
means.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spanline._payloads import Payloads
from spanline.transforms.reassemble import Reassemble
from tests.craft import Frame, ethernet, fragments, icmp, ipv4, raw, tcp, udp, vlan
from tests.craft_files import START, Record
from tests.craft_tunnels import vxlan
from tests.payload_listener import (
    BASES,
    Head,
    Listener,
    Said,
    cut,
    datagram,
    handshake,
    joined,
    listen,
    only,
    said,
    segment,
)
from tests.rows import decode_all

MS, SECOND = 1_000_000, 1_000_000_000


# --- order


def test_a_conversation_in_order() -> None:
    """Both directions come out interleaved, each piece with the frame and time that brought it."""
    frames = [
        *handshake(),
        segment(1, 0, b"login: ", "PA"),
        segment(0, 0, b"a", "PA", ack=7),
        segment(1, 7, b"a", "PA", ack=1),
        segment(0, 1, b"nna", "PA", ack=8),
        segment(0, 4, flags="FA", ack=8),
        segment(1, 8, flags="FA", ack=5),
    ]
    listener = Listener()
    listener.hear(decode_all(frames))
    (pieces,) = listener.pieces.values()
    assert pieces == [
        Said(1, 0, b"login: ", 0, ""), Said(0, 0, b"a", 0, ""), Said(1, 7, b"a", 0, ""), Said(0, 1, b"nna", 0, ""),
        Said(0, 4, b"", 0, "ended"),
    ]  # fmt: skip
    assert listener.frames[1][:4] == [(n, START + (n - 1) * MS) for n in (4, 5, 6, 7)]
    row = listener.payloads.conversations(np.array([0, 99], np.uint32))
    assert row["serial"].tolist() == [1, 0]
    assert (row["source_port"][0], row["destination_port"][0], row["client"][0]) == (40000, 2323, 0)
    assert (row["client_known"][0], row["first_seen"][0], row["protocol"][0]) == (1, START, 6)


FAR = 3 + (1 << 30)
HELLO = [segment(0, 0, b"hel"), segment(0, 3, b"lo"), segment(0, 5, b" world")]
# Segments after a handshake, and what comes out: offset, bytes, missing before them, flags.
ORDERED: dict[str, tuple[list[Frame], list[tuple[int, bytes, int, str]]]] = {
    "in order": (HELLO, [(0, b"hel", 0, ""), (3, b"lo", 0, ""), (5, b" world", 0, "")]),
    "backwards": (HELLO[::-1], [(0, b"hel", 0, ""), (3, b"lo", 0, ""), (5, b" world", 0, "")]),
    "twice": ([*HELLO, *HELLO], [(0, b"hel", 0, ""), (3, b"lo", 0, ""), (5, b" world", 0, "")]),
    "twice before its turn": (
        [HELLO[2], HELLO[2], HELLO[0], HELLO[1]],
        [(0, b"hel", 0, ""), (3, b"lo", 0, ""), (5, b" world", 0, "")],
    ),
    "repeated in part": (
        [segment(0, 0, b"abc"), segment(0, 1, b"bcde")],
        [(0, b"abc", 0, ""), (3, b"de", 0, "overlap")],
    ),
    "repeated in part, otherwise": (
        [segment(0, 0, b"abc"), segment(0, 1, b"bXde")],
        [(0, b"abc", 0, ""), (3, b"de", 0, "overlap conflict")],
    ),
    "repeated otherwise": (
        [segment(0, 0, b"abc"), segment(0, 0, b"Xbc"), segment(0, 3, b"d")],
        [(0, b"abc", 0, ""), (3, b"d", 0, "conflict")],
    ),
    "around one that waits": (
        [segment(0, 2, b"CD"), segment(0, 0, b"abcdef")],
        [(0, b"ab", 0, ""), (2, b"CD", 0, ""), (4, b"ef", 0, "overlap conflict")],
    ),
    "around two that wait": (
        [segment(0, 6, b"gh"), segment(0, 2, b"cd"), segment(0, 1, b"bcdefghi"), segment(0, 0, b"a")],
        [(0, b"a", 0, ""), (1, b"b", 0, ""), (2, b"cd", 0, ""), (4, b"ef", 0, "overlap"), (6, b"gh", 0, ""),
         (8, b"i", 0, "overlap")],
    ),
    "never whole": ([HELLO[0], HELLO[2]], [(0, b"hel", 0, ""), (5, b" world", 2, "")]),
    "kept alive": (
        [HELLO[0], segment(0, 2, b"\0"), segment(0, 2), HELLO[1]],
        [(0, b"hel", 0, ""), (3, b"lo", 0, "")],
    ),
    "too far to be true": (
        [HELLO[0], segment(0, FAR, b"X"), segment(0, 6 - FAR, b"X"), segment(0, FAR, flags="R"), HELLO[1]],
        [(0, b"hel", 0, ""), (3, b"lo", 0, "")],
    ),
    "behind its end": (
        [HELLO[0], segment(0, 3, b"lo", "FPA"), segment(0, 5, b"more")],
        [(0, b"hel", 0, ""), (3, b"lo", 0, "")],
    ),
    "an end before its turn": (
        [segment(0, 3, b"lo", "FPA"), HELLO[0], segment(0, 5, b"more")],
        [(0, b"hel", 0, ""), (3, b"lo", 0, "")],
    ),
    "reset": ([HELLO[0], segment(1, 0, flags="RA"), HELLO[1]], [(0, b"hel", 0, "")]),
    "reset with a hole": ([HELLO[2], segment(0, 11, flags="R")], [(5, b" world", 5, "")]),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDERED)
def test_order(name: str) -> None:
    frames, expected = ORDERED[name]
    pieces = only(listen([*handshake(), *frames]))
    assert pieces == [Said(0, *piece) for piece in expected]


def test_all_that_waited_comes_at_once() -> None:
    """Once its hole is filled, and so before what the other side answers."""
    pieces = only(listen([*handshake(), *HELLO[::-1], segment(1, 0, b"hi", ack=11)]))
    assert [(piece.sender, piece.octets) for piece in pieces] == [(0, b"hel"), (0, b"lo"), (0, b" world"), (1, b"hi")]


# Lengths of what one side sends at a stretch, and of the pieces: a bulk transfer comes in few, keystrokes as they are.
JOINED: dict[str, tuple[list[int], list[int]]] = {
    "long ones": ([256, 300, 1000], [1556]),
    "a short one": ([300, 255, 300], [300, 255, 300]),
    "a short one last": ([300, 300, 255], [600, 255]),
    "as many as fit": ([1000] * 67, [65000, 2000]),
    "exactly": ([256] * 257, [65536, 256]),
}


@pytest.mark.parametrize("name", JOINED)
def test_long_pieces_are_joined(name: str) -> None:
    """And the last frame of each stands for it."""
    sizes, expected = JOINED[name]
    ends = list(itertools.accumulate(sizes))
    frames = [segment(0, end - size, b"b" * size) for size, end in zip(sizes, ends, strict=True)]
    listener = listen([*handshake(), *frames])
    pieces = only(listener)
    assert [len(piece.octets) for piece in pieces] == expected
    last = [4 + ends.index(piece.offset + len(piece.octets)) for piece in pieces]
    assert [frame for frame, _time in listener.frames[1][:-1]] == last


def test_only_what_one_side_sent_at_a_stretch_is_joined() -> None:
    long = b"b" * 300
    frames = [segment(0, 0, long), segment(1, 0, long), segment(0, 300, long), segment(0, 900, long, "FA")]
    assert [(piece.sender, piece.offset, piece.gap) for piece in only(listen([*handshake(), *frames]))] == [
        (0, 0, 0), (1, 0, 0), (0, 300, 0), (0, 900, 300),
    ]  # fmt: skip


@pytest.mark.parametrize("base", [2**32 - 1, 2**32 - 3, 2**32 - 6, 2**31 - 3])
@pytest.mark.parametrize("name", ["in order", "backwards", "around two that wait", "never whole"])
def test_sequence_numbers_start_again_at_zero(name: str, base: int) -> None:
    """The same segments, with numbers that wrap at any place."""
    told, expected = ORDERED[name]
    moved = [bytes(frame) for frame in told]
    frames = [
        octets[:38]
        + ((int.from_bytes(octets[38:42], "big") - BASES[0] + base) % 2**32).to_bytes(4, "big")
        + octets[42:]
        for octets in moved
    ]
    pieces = only(listen([*handshake(bases=(base, BASES[1])), *frames]))
    assert pieces == [Said(0, *piece) for piece in expected]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_cut_in_any_order(data: st.DataObject) -> None:
    """Whatever the segments of a stream, and however often and in whatever order they come: it is the same stream."""
    octets = data.draw(st.binary(min_size=1, max_size=200))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(octets)), max_size=12)) | {0, len(octets)})
    parts = list(itertools.pairwise(cuts))
    more = data.draw(st.lists(st.tuples(st.integers(0, len(octets) - 1), st.integers(1, 60)), max_size=8))
    parts += [(start, min(start + length, len(octets))) for start, length in more]
    base = data.draw(st.sampled_from([0, 7, 2**31 - 20, 2**32 - 1, 2**32 - 30]))
    frames = [segment(0, start, octets[start:end], bases=(base, 9)) for start, end in data.draw(st.permutations(parts))]
    listener = Listener()
    batch = decode_all([*handshake(bases=(base, 9)), *frames])
    for part in cut(batch, data.draw(st.integers(0, len(batch)))):
        listener.hear(part)
    listener.finish()
    pieces = only(listener)
    assert joined(pieces, 0) == octets
    assert [piece.offset for piece in pieces] == list(np.cumsum([0, *(len(piece.octets) for piece in pieces)])[:-1])
    assert not any(piece.gap or "conflict" in piece.flags for piece in pieces)


@pytest.mark.parametrize("start", [["S"], [], ["S", "A"], ["A"]], ids=["syn", "nothing", "syn ack", "ack"])
def test_only_one_direction_is_mirrored(start: list[str]) -> None:
    """An ingress-only mirror: no SYN-ACK, no acknowledgment; with a SYN the client is known."""
    frames = [segment(0, -1 if flag == "S" else 0, flags=flag) for flag in start]
    frames += [segment(0, 0, b"user"), segment(0, 4, b"\r\n"), segment(0, 6, flags="FA")]
    listener = Listener()
    listener.hear(decode_all(frames))
    assert bool(listener.pieces) == ("S" in start), "else the other side may still speak"
    listener.finish()
    assert only(listener) == [Said(0, 0, b"user", 0, ""), Said(0, 4, b"\r\n", 0, "")]
    assert listener.payloads.conversations(np.zeros(1, np.uint32))["client_known"][0] == ("S" in start)


def test_the_other_side_speaks_after_the_first_one_finished() -> None:
    """And nobody saw it before."""
    frames = [segment(0, 9, b"bye", "FA", ack=70), segment(1, 70, b"bye", "FA", ack=13), segment(1, 73, b"late")]
    assert listen(frames).streams() == {1: (b"bye", b"bye")}


def test_only_the_servers_side_is_mirrored() -> None:
    frames = [segment(1, -1, flags="SA"), segment(1, 0, b"login: "), segment(1, 7, b"x", ack=4)]
    assert only(listen(frames)) == [Said(1, 0, b"login: ", 0, ""), Said(1, 7, b"x", 0, "")]


def test_the_first_segment_was_lost_and_the_syn_was_seen() -> None:
    frames = [segment(0, -1, flags="S"), segment(0, 5, b"late")]
    assert only(listen(frames)) == [Said(0, 5, b"late", 5, "")]


@pytest.mark.parametrize(
    "first", [segment(0, 9), segment(1, 70, ack=9), segment(0, 8)], ids=["ack", "peer", "keep-alive"]
)
def test_the_middle_of_a_connection(first: Frame) -> None:
    """Offsets count from where it begins; a keep-alive stands one byte before that."""
    pieces = only(listen([first, segment(0, 9, b"ab"), segment(0, 11, b"cd")]))
    assert [piece[1:] for piece in pieces] == [(0, b"ab", 0, ""), (2, b"cd", 0, "")]


# --- one side only, until the other one is wanted


def heard(payloads: Payloads, *frames: Frame) -> list[Said]:
    batch = decode_all(frames)
    payloads.update(batch.packets.view(np.uint8), batch.numbers, batch.buffers)
    return told(payloads)


def told(payloads: Payloads) -> list[Said]:
    rows, octets = payloads.pieces()
    return [said(row, octets) for row in rows]


def test_only_one_side_is_listened_to_until_the_conversation_is_woken() -> None:
    """By hand: what the server said is not handed out before, and then from the client's last words on."""
    listener = Listener()
    listener.hear(decode_all(handshake()))
    payloads, slot = listener.payloads, np.zeros(1, np.uint32)
    payloads.claim(slot, np.ones(1, np.uint8))
    first = heard(payloads, segment(0, 0, b"ab", ack=0), segment(1, 0, b"secret", ack=2), segment(0, 2, b"cd", ack=6))
    assert first == [Said(0, 0, b"ab", 0, "listened"), Said(0, 2, b"cd", 0, "listened")]
    second = heard(payloads, segment(1, 6, b"word", ack=4), segment(0, 4, b"ef", ack=10), segment(1, 10, b"!", ack=6))
    assert second == [Said(0, 4, b"ef", 0, "listened")]
    payloads.wake(slot)
    assert told(payloads) == [Said(1, 6, b"word", 0, ""), Said(0, 4, b"ef", 0, ""), Said(1, 10, b"!", 0, "")]
    assert heard(payloads, segment(1, 11, b"?", ack=6)) == [Said(1, 11, b"?", 0, "")]


def test_the_end_of_one_that_is_listened_to_is_told_once() -> None:
    listener = Listener()
    listener.hear(decode_all(handshake()))
    payloads, slot = listener.payloads, np.zeros(1, np.uint32)
    payloads.claim(slot, np.ones(1, np.uint8))
    last = segment(0, 0, b"bye", "FA", ack=0), segment(1, 0, b"so long", "FA", ack=4)
    assert heard(payloads, *last) == [Said(0, 0, b"bye", 0, "listened"), Said(0, 0, b"", 0, "ended listened")]
    payloads.wake(slot)
    assert told(payloads) == [Said(0, 0, b"bye", 0, ""), Said(1, 0, b"so long", 0, "")]
    assert heard(payloads) == []


# --- holes


def timed(*frames: tuple[int, Frame]) -> list[Record]:
    return [Record(START + at * MS, frame) for at, frame in frames]


def claimed() -> Listener:
    """After a handshake, a conversation that is claimed."""
    listener = Listener()
    listener.hear(decode_all([Record(START, frame) for frame in handshake()]))
    listener.payloads.claim(np.zeros(1, np.uint32))
    return listener


def test_a_hole_that_the_receiver_acknowledged_is_a_gap_after_a_while() -> None:
    """100 ms: what waits comes out while the conversation goes on."""
    listener = claimed()
    told = [(0, segment(0, 0, b"ab")), (1, segment(0, 5, b"f")), (2, segment(1, 0, ack=6)), (100, segment(1, 0, ack=6))]
    listener.hear(decode_all(timed(*told)))
    assert listener.pieces[1] == [Said(0, 0, b"ab", 0, "")]
    listener.hear(decode_all(timed((102, segment(1, 0, b"ok", ack=6)))))
    assert listener.pieces[1][1:] == [Said(0, 5, b"f", 3, ""), Said(1, 0, b"ok", 0, "")]
    assert listener.payloads.counters.gaps == 1
    assert listener.payloads.counters.missing == 3


def test_a_hole_that_nobody_acknowledged_is_waited_for() -> None:
    listener = claimed()
    listener.hear(decode_all([segment(0, 0, b"ab")]))
    listener.hear(decode_all(timed((5000, segment(0, 5, b"f")), (60000, segment(1, 0, ack=2)))))
    assert len(listener.pieces[1]) == 1
    listener.hear(decode_all(timed((60001, segment(0, 2, b"cde")))))
    assert joined(listener.pieces[1], 0) == b"abcdef"


@pytest.mark.parametrize(("size", "count"), [(1, 80), (1000, 80), (60000, 3)])
def test_the_waiting_room_is_bounded(size: int, count: int) -> None:
    """Behind a hole, 64 segments and 64 KiB wait; then it is a gap, and nothing else is lost."""
    octets = np.random.default_rng(size).bytes(size * count)
    frames = [segment(0, 3 + n * size, octets[n * size :][:size]) for n in range(count)]
    listener = Listener(claim=False, head_bytes=1 << 20)
    listener.hear(decode_all([*handshake(), *frames]))
    assert listener.payloads.kept > len(octets) - (64 << 10)
    assert listener.payloads.kept < len(octets) * 1.1 + 80 * 300
    listener.finish()
    (head,) = listener.heads[1]
    assert head == Head(0, octets, "ended gap")
    assert listener.payloads.counters.missing == 3


def test_what_was_not_captured_is_missing_behind_it() -> None:
    whole = bytes(segment(0, 0, b"0123456789"))
    frames = [*handshake(), Record(START + SECOND, whole[:-6], len(whole)), segment(0, 10, b"ab")]
    assert only(listen(frames)) == [Said(0, 0, b"0123", 0, "cut"), Said(0, 10, b"ab", 6, "")]


# --- conversations


def test_a_syn_with_another_number_begins_another_conversation() -> None:
    """Also while the old one has not ended; and what comes late of that is of none."""
    again = (90000, 70000)
    frames = [*handshake(), segment(0, 0, b"old"), *handshake(bases=again), segment(0, 0, b"new", bases=again)]
    streams = listen(frames).streams()
    assert list(streams.values()) == [(b"old", b""), (b"new", b"")]


def test_a_connection_that_was_reset_stays_so_until_a_syn() -> None:
    again = (90000, 70000)
    frames = [
        *handshake(),
        segment(0, 0, b"a"),
        segment(1, 0, flags="RA"),
        segment(0, 1, b"late"),
        segment(0, -1, flags="S"),
    ]
    assert listen(frames).streams() == {1: (b"a", b"")}
    frames += [segment(0, -1, flags="S", bases=again), segment(0, 0, b"b", bases=again)]
    assert listen(frames).streams() == {1: (b"a", b""), 2: (b"b", b"")}


def test_a_syn_that_comes_again_changes_nothing() -> None:
    frames = [*handshake(), segment(0, 0, b"ab"), *handshake(), segment(0, 2, b"cd")]
    assert listen(frames).streams() == {1: (b"abcd", b"")}


def test_a_syn_may_have_payload() -> None:
    """TCP Fast Open, RFC 7413."""
    frames = [segment(0, -1, b"GET ", "S"), segment(1, -1, flags="SA", ack=4), segment(0, 4, b"/", ack=0)]
    assert only(listen(frames)) == [Said(0, 0, b"GET ", 0, ""), Said(0, 4, b"/", 0, "")]


@pytest.mark.parametrize(("by_vni", "conversations"), [(True, 2), (False, 1)])
def test_equal_addresses_in_two_tunnels(by_vni: bool, conversations: int) -> None:
    def mirrored(vni: int, frame: Frame) -> Frame:
        return ethernet() / ipv4("172.16.0.1", "172.16.0.2") / udp(5000, 4789) / vxlan(vni) / frame

    inside = [mirrored(vni, frame) for frame in [*handshake(), segment(0, 0, b"ab")] for vni in (7, 8)]
    listener = listen(inside, by_vni=by_vni)
    assert list(listener.streams().values()) == [(b"ab", b"")] * conversations
    found = listener.payloads.conversations(np.arange(conversations, dtype=np.uint32))["vni"]
    assert found.tolist() == [7, 8][:conversations]


@pytest.mark.parametrize(("by_vlan", "conversations"), [(True, 2), (False, 1)])
def test_equal_addresses_in_two_vlans(by_vlan: bool, conversations: int) -> None:
    packet = ipv4("10.0.0.1", "10.0.0.2") / tcp(1000, 23, seq=5) / b"ab"
    frames = [ethernet() / vlan(n) / packet for n in (1, 2)]
    assert list(listen(frames, by_vlan=by_vlan).streams().values()) == [(b"ab", b"")] * conversations


def test_datagrams_are_messages() -> None:
    """Nothing is put in order or joined; one that came in fragments is one message."""
    long = bytes(range(256)) * 12
    packet = ipv4("10.0.0.2", "10.0.0.1") / udp(161, 40000) / raw(long)
    frames = [
        datagram(0, b"get"),
        *(ethernet() / part for part in fragments(packet, 800)),
        datagram(0, b"get"),
        datagram(0, b""),
    ]
    listener = Listener()
    for batch in Reassemble().feed(decode_all(frames, reassemble=True)):
        listener.hear(batch)
    listener.finish()
    assert only(listener) == [
        Said(0, 0, b"get", 0, "message"), Said(1, 0, long, 0, "message"), Said(0, 3, b"get", 0, "message"),
    ]  # fmt: skip


def test_what_icmp_quotes_is_not_traffic() -> None:
    quoted = ethernet() / ipv4() / icmp(3, 3) / ipv4("10.0.0.1", "10.0.0.2") / udp(40000, 161) / b"public"
    assert listen([quoted, quoted]).pieces == {}
