"""Lines out of pieces, wherever those are cut, and NTLMSSP messages.

Oracles: the lines that were written; messages laid out as [MS-NLMP] section 2.2.1.3 draws them. Those of real systems
are in test_plaintext_http.py, with what tshark says of them.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanline.plaintext import ntlm
from spanline.plaintext.lines import LONGEST, Line, Lines
from spanline.plaintext.model import Piece, Sender, Severity, Span
from tests.craft_ntlm import authenticate
from tests.pieces import CLIENT, CUTS, QUICKLY, pieces


def lines_of(reader: Lines, parts: list[Piece]) -> list[Line]:
    found = []
    for piece in parts:
        reader.feed(piece)
        while (line := reader.line()) is not None:
            found.append(line)
    return found


@QUICKLY
@given(st.lists(st.binary(max_size=30).map(lambda octets: octets.replace(b"\n", b"").rstrip(b"\r"))), CUTS)
def test_lines_are_those_of_the_whole_and_know_where_they_stand(texts: list[bytes], lengths: list[int]) -> None:
    whole = b"".join(text + b"\r\n" for text in texts)
    found = lines_of(Lines(CLIENT), list(pieces([(CLIENT, whole)], lengths)))
    assert [line.data for line in found] == texts
    assert all(whole[line.offset : line.offset + len(line.data)] == line.data and line.whole for line in found)


@pytest.mark.parametrize("length", [1, 7, 5000, 1 << 20])
def test_a_line_without_end_is_cut_and_the_next_one_is_whole(length: int) -> None:
    whole = b"a" * (LONGEST * 3) + b"\r\nnext\r\n"
    first, second = lines_of(Lines(CLIENT), list(pieces([(CLIENT, whole)], [length])))
    assert (first.data == b"a" * LONGEST, first.whole, first.offset) == (True, False, 0)
    assert (second.data, second.whole, second.offset) == (b"next", True, LONGEST * 3 + 2)


def test_a_gap_ends_a_line_and_one_begins_after_it() -> None:
    parts = [Piece(CLIENT, b"PASS hal", 0, 1, 1), Piece(CLIENT, b"USER x\n", 20, 2, 2, gap=12)]
    assert lines_of(Lines(CLIENT), parts) == [
        Line(CLIENT, b"PASS hal", 0, 1, 1, whole=False),
        Line(CLIENT, b"USER x", 20, 2, 2),
    ]


@QUICKLY
@given(CUTS)
def test_bodies_are_no_lines(lengths: list[int]) -> None:
    reader, found = Lines(CLIENT), []
    for piece in pieces([(CLIENT, b"skip 5\r\n1\n3\n5block 4\r\na\nb\nuntil\r\n1\r\n.x\r\n\r\n.\r\nlast\n")], lengths):
        reader.feed(piece)
        block = bool(found) and found[-1].data == b"block 4"
        while (line := reader.block(4) if block else reader.line()) is not None:
            found.append(line)
            block = line.data == b"block 4"
            if line.data == b"skip 5":
                reader.skip(5)
            if line.data == b"until":
                reader.skip_until(b"\r\n.\r\n")
    assert [line.data for line in found] == [b"skip 5", b"block 4", b"a\nb\n", b"until", b"last"]


def test_what_nobody_wants_is_dropped_but_for_the_beginning_of_a_line() -> None:
    reader = Lines(Sender.SERVER)
    reader.feed(Piece(Sender.SERVER, b"one\ntwo\nthr", 0, 1, 1))
    reader.drop()
    reader.feed(Piece(Sender.SERVER, b"ee\n", 11, 2, 2))
    line = reader.line()
    assert line is not None
    assert (line.data, line.span(1)) == (b"three", Span(Sender.SERVER, 9, 13))


def test_a_line_shows_nothing_of_its_bytes() -> None:
    assert "hidden" not in repr(Line(CLIENT, b"hidden", 0, 1, 1))


@pytest.mark.parametrize(
    ("octets", "account", "version", "severity"),
    [
        (authenticate(24), r"Domain\User", 1, Severity.HIGH),
        (authenticate(260), r"Domain\User", 2, Severity.MEDIUM),
        (authenticate(24, domain="", user="u", unicode=False), "u", 1, Severity.HIGH),
        (authenticate(24, user="Ünï"), "Domain\\Ünï", 1, Severity.HIGH),
    ],
)
def test_who_answers_a_challenge_and_by_which_version(octets: bytes, account: str, version: int, severity: str) -> None:
    said = ntlm.authenticate(ntlm.find(b"wrapped" + octets))
    assert said is not None
    assert (said.account, said.version, said.severity) == (account, version, severity)
    finding = said.finding(1, (2,))
    assert (finding.kind, finding.secret, finding.account) == ("challenge", None, account)


@pytest.mark.parametrize(
    "octets", [b"", b"NTLMSSP\0\1\0\0\0" + bytes(60), authenticate(0, user=""), authenticate(24)[:40]]
)
def test_what_is_no_answer_says_nobody(octets: bytes) -> None:
    assert ntlm.authenticate(octets) is None


@QUICKLY
@given(st.integers(0, 110), st.binary(max_size=80))
def test_hostile_messages_raise_nothing(length: int, noise: bytes) -> None:
    for octets in (authenticate(24)[:length] + noise, ntlm.SIGNATURE + b"\3\0\0\0" + noise):
        ntlm.authenticate(octets)
