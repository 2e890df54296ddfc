"""What the beginnings of conversations are like.

Oracles: Python's `re` on short texts; spanline.protocols.patterns, which names flows by the same beginnings; by hand.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanline.plaintext import scanning
from spanline.plaintext.model import Finding, Parser, Pattern, Piece, Plaintext, Secret, Sender
from spanline.plaintext.parsers import protocols
from spanline.plaintext.rules import Rules, read_rules
from spanline.plaintext.scanning import CLIENT, MOST_MATCHES, MOST_SPANS, SERVER, UNKNOWN, Beginning, Scanner
from spanline.protocols.language import Application
from spanline.protocols.patterns import HEAD_BYTES, patterns
from tests.craft_messages import MESSAGES


class Silent(Parser):
    def feed(self, piece: Piece) -> tuple[Finding, ...]:
        return ()

    def finish(self) -> tuple[Finding, ...]:
        return ()


def protocol(name: str, *expressions: Pattern) -> Plaintext:
    return Plaintext(name, name, Silent, patterns=expressions)


PROTOCOLS = (
    protocol("one", Pattern(b"^USER [^\r\n]{1,64}\r\n", Sender.CLIENT), Pattern(b"^220 ", Sender.SERVER)),
    protocol("two", Pattern(b"^(USER|PASS) "), Pattern(b"^\\xff[\\xfb-\\xfe]")),
)


@pytest.fixture(autouse=True, scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is compiled is kept, but not in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
            patch.setenv(variable, str(tmp_path_factory.mktemp("home")))
        yield


def rules_of(folder: Path, *expressions: str, more: str = "") -> Rules:
    path = folder / "rules.yaml"
    path.write_text(
        "".join(f"- {{name: r{n}, pattern: '{one}', message: m{more}}}\n" for n, one in enumerate(expressions))
    )
    return read_rules([str(path)])


def scan_all(scanner: Scanner, heads: Sequence[bytes], senders: Sequence[int]) -> list[Beginning]:
    """All heads stand in one array, one right behind the other."""
    ends = np.cumsum([len(head) for head in heads]).tolist()
    return scanner.scan(memoryview(b"".join(heads)), [0, *ends[:-1]], ends, senders)


@pytest.mark.parametrize(
    ("head", "sender", "protocols"),
    [
        (b"USER root\r\n", CLIENT, (0, 1)),
        (b"USER root\r\n", SERVER, (1,)),
        (b"USER root\r\n", UNKNOWN, (0, 1)),
        (b"220 hello\r\n", SERVER, (0,)),
        (b"220 hello\r\n", CLIENT, None),
        (b"\xff\xfd\x18", CLIENT, (1,)),
        (b"PASS \0\xff", SERVER, (1,)),
        (b"x\r\nUSER root\r\n", CLIENT, None),
        (b"user root\r\n", CLIENT, None),
        (b"", CLIENT, None),
    ],
)
def test_protocols_by_what_a_side_begins_with(head: bytes, sender: int, protocols: tuple[int, ...] | None) -> None:
    beginning = Scanner(PROTOCOLS, known=()).scan_one(head, sender)
    assert (beginning and beginning.protocols) == protocols


def test_each_head_is_looked_at_alone() -> None:
    heads = [b"PA", b"SS ", b"nothing", b"", b"PASS x", b"x\nPASS x", b"220 "]
    found = scan_all(Scanner(PROTOCOLS, known=()), heads, [CLIENT] * 6 + [SERVER])
    assert [(one.head, one.protocols) for one in found] == [(4, (1,)), (6, (0,))]


def test_beginnings_are_those_that_flows_are_named_by() -> None:
    heads = [message.octets for message in MESSAGES if message.octets]
    padded = np.zeros((len(heads), HEAD_BYTES), np.uint8)
    for row, head in zip(padded, heads, strict=True):
        beginning = b"\n" + head[: HEAD_BYTES - 1]
        row[: len(beginning)] = np.frombuffer(beginning, np.uint8)
    theirs = patterns()(padded)
    ours = {one.head: one.applications for one in scan_all(Scanner(()), heads, [UNKNOWN] * len(heads))}
    assert [n in ours for n in range(len(heads))] == [bool(number) for number in theirs]
    assert sum(map(bool, theirs)) > 15


SMALL_PATTERNS = (
    "a", "ab", "a+", "ba*", "[ab]c", "a.c", "^a", "^b+", "(ab|c)+", "a{2,3}", "b|ca", "abc|b", "(a|b)c?b", "[^a]b",
    r"\Ba", r"\bc", "(?i)AB", "c[^c]*c", r"(?m)^a", "(?s)b.a", "abca|bc|a{4}", r"a\x00", r"[\x80-\xff]",
)  # fmt: skip


def covered(pattern: str, text: bytes) -> set[int]:
    """The bytes that are in any match, by trying every beginning and end."""
    expression = re.compile(pattern.encode())
    ends = [(start, end) for start in range(len(text)) for end in range(start + 1, len(text) + 1)]
    return {place for start, end in ends if expression.fullmatch(text, start, end) for place in range(start, end)}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scanner:
    return Scanner(PROTOCOLS, rules_of(tmp_path_factory.mktemp("rules"), *SMALL_PATTERNS))


@given(st.lists(st.lists(st.sampled_from([*b"abcAB \n\0\xff"]), max_size=9).map(bytes), min_size=1, max_size=4))
@settings(deadline=None, max_examples=60)
def test_rules_match_what_re_matches(small: Scanner, heads: list[bytes]) -> None:
    """Whether, and exactly which bytes; `re` knows nothing of what other matches a rule has, so all are tried."""
    found = {
        one.head: {match.rule.name: match for match in one.rules}
        for one in scan_all(small, heads, [CLIENT] * len(heads))
    }
    for n, head in enumerate(heads):
        wanted = {f"r{k}": covered(pattern, head) for k, pattern in enumerate(SMALL_PATTERNS)}
        matches = found.get(n, {})
        assert len(matches) == min(MOST_MATCHES, sum(map(bool, wanted.values())))
        for name, match in matches.items():
            places = [place for start, end in match.places for place in range(start, end)]
            assert (places, name) == (sorted(wanted[name]), name)
            assert match.secret.reveal() == head[slice(*match.places[0])]


@pytest.mark.parametrize(
    ("direction", "sender", "found"),
    [
        ("client", CLIENT, True), ("client", SERVER, False), ("client", UNKNOWN, True), ("server", SERVER, True),
        ("server", CLIENT, False), ("either", SERVER, True), ("either", CLIENT, True),
    ],
)  # fmt: skip
def test_rules_have_a_direction(tmp_path: Path, direction: str, sender: int, found: bool) -> None:
    rules = rules_of(tmp_path, "cat", more=f", direction: {direction}")
    assert (Scanner((), rules, known=()).scan_one(b"a cat", sender) is not None) == found


def test_the_secret_is_what_the_first_place_has(tmp_path: Path) -> None:
    found = Scanner((), rules_of(tmp_path, r"key=\w+"), known=()).scan_one(b"a key=12 b key=345", SERVER)
    assert found is not None
    (match,) = found.rules
    assert match.secret == Secret(b"key=12")
    assert match.places == ((2, 8), (11, 18))


def test_what_a_rule_matched_is_not_shown(tmp_path: Path) -> None:
    beginning = Scanner((), rules_of(tmp_path, r"key=\w+"), known=()).scan_one(b"key=opensesame", CLIENT)
    for shown in (repr(beginning), str(beginning), f"{beginning}"):
        assert "key=" in shown  # the rule
        assert "sesame" not in shown


@pytest.mark.parametrize(
    ("expression", "places"),
    [
        ("a", [(n, n + 1) for n in range(MOST_SPANS - 1)] + [(MOST_SPANS - 1, 4096)]),
        ("a+", [(0, 4096)]),
        ("aa?", [(0, 4096)]),
        (".", [(n, n + 1) for n in range(MOST_SPANS - 1)] + [(MOST_SPANS - 1, 4096)]),
        ("^a", [(0, 1)]),
        ("a{4096}", [(0, 4096)]),
    ],
)
def test_a_rule_that_everything_matches_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expression: str, places: list[tuple[int, int]]
) -> None:
    """However often it matches: what is behind the last place that is told apart belongs to that one."""
    calls = 0
    scan = scanning._Database.scan

    def counting(self: scanning._Database) -> tuple[Callable[..., None], object]:
        counted, scratch = scan(self)

        def scan_counted(octets: memoryview, note: Callable[..., object], *rest: object) -> None:
            def note_counted(*event: object) -> object:
                nonlocal calls
                calls += 1
                return note(*event)

            counted(octets, note_counted, *rest)

        return scan_counted, scratch

    monkeypatch.setattr(scanning._Database, "scan", counting)
    found = Scanner((), rules_of(tmp_path, expression), known=()).scan_one(b"a" * 4096, CLIENT)
    assert found is not None
    assert [list(match.places) for match in found.rules] == [places]
    assert 1 < calls <= scanning._MOST_ENDS + 2  # one of them says that it matches


def test_of_many_rules_that_match_some_are_told(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, *(f"a{{{n}}}" for n in range(1, 101)))
    found = Scanner(PROTOCOLS, rules, known=()).scan_one(b"USER " + b"a" * 200 + b"\r\n", CLIENT)
    assert found is not None
    assert found.protocols == (1,)
    assert [match.rule.name for match in found.rules] == [f"r{n}" for n in range(MOST_MATCHES)]


def test_threads_share_a_scanner(small: Scanner) -> None:
    heads = [b"USER a\r\n", b"abc", b"a\0 cab", b"GET / HTTP/1.1\r\n"] * 500
    alone = scan_all(small, heads, [UNKNOWN] * len(heads))
    together: list[list[Beginning]] = []
    threads = [
        threading.Thread(target=lambda: together.append(scan_all(small, heads, [UNKNOWN] * len(heads))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [alone] * 4
    assert len(alone) == len(heads)


def test_a_foreign_pattern_is_of_the_first_bytes_only() -> None:
    known = [Application("x", "X", foreign=(b"^secret",))]
    scanner = Scanner((), known=known)
    assert scanner.scan_one(b"secret", UNKNOWN) == Beginning(0, applications=("x",))
    assert scanner.scan_one(b"\nsecret", UNKNOWN) is None


def test_beginnings_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that is like one before, or like one that was forgotten, is told the same."""
    heads = [b"USER root\r\n", b"PASS x", b"220 ", b"\xff\xfd"]
    scanner = Scanner(PROTOCOLS, known=())
    first = [scanner.scan_one(head, sender) for head in heads for sender in (CLIENT, SERVER, UNKNOWN)]
    monkeypatch.setattr(scanning, "_MOST_KINDS", 2)
    scanner = Scanner(PROTOCOLS, known=())
    for _ in range(2):
        assert [scanner.scan_one(head, sender) for head in heads for sender in (CLIENT, SERVER, UNKNOWN)] == first
        assert all(len(side._kinds) <= 2 for side in scanner._sides)


def test_applications_are_told_of_those_heads_that_are_asked_for() -> None:
    heads = [b"GET / HTTP/1.1\r\n", b"USER a\r\n", b"SSH-2.0-x\r\n", b"SSH-2.0-x\r\n", b"PASS "]
    ends = np.cumsum([len(head) for head in heads]).tolist()
    found = Scanner(PROTOCOLS).scan(memoryview(b"".join(heads)), [0, *ends[:-1]], ends, [UNKNOWN] * 5, asked=[1, 3])
    assert found == [Beginning(1, (0, 1)), Beginning(3, (), ("ssh",)), Beginning(4, (1,))]


def test_a_scanner_without_anything_to_look_for() -> None:
    assert Scanner((), known=()).scan_one(b"USER root\r\n", CLIENT) is None


def test_nothing_that_encrypts_begins_like_a_plaintext_protocol() -> None:
    """Nor do random bytes, which is what other encrypted traffic is."""
    encrypted = {"tls", "ssh", "quic", "gquic", "openvpn", "wg", "esp", "isakmp", "rdp"}
    heads = [message.octets for message in MESSAGES if encrypted & set(message.stack.split(":")) and message.octets]
    assert len(heads) > 5
    chance = random.Random(1)
    heads += [chance.randbytes(length) for length in (8, 40, 200, 1000) for _ in range(5000)]
    # Content types, versions and lengths of TLS records and of SSH's packets, and random bytes behind.
    beginnings = [bytes([kind, 3, minor]) for kind in (20, 21, 22, 23) for minor in range(5)] + [b"\0\0\1", b"\0\0\0"]
    heads += [beginning + chance.randbytes(300) for beginning in beginnings for _ in range(200)]
    scanner = Scanner(protocols(), known=())
    found = scan_all(scanner, heads, [UNKNOWN] * len(heads))
    assert [(heads[one.head][:16], scanner.protocols[number].name) for one in found for number in one.protocols] == []
