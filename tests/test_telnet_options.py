"""What Telnet says between the text. Truth: the examples of the RFCs, and their rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanline.plaintext.model import Sender
from spanline.plaintext.telnet_options import MOST_SUBOPTION_BYTES, Options, Said, Splitter, What
from tests.fuzz import telnet as fuzz

CLIENT, SERVER = Sender.CLIENT, Sender.SERVER


def split(data: bytes, cuts: list[int] | range = range(0)) -> list[tuple[str, bytes, int]]:
    """What a stream says, in these pieces; text that goes on joined."""
    splitter, found = Splitter(), []
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    for begin, end in zip([0, *places], [*places, len(data)], strict=True):
        for said in splitter.feed(data[begin:end], begin):
            if said.what is What.TEXT and found and found[-1][0] == "TEXT":
                found[-1] = "TEXT", found[-1][1] + said.octets, found[-1][2]
            else:
                found.append((said.what.name, said.octets, said.offset))
    return found


STREAMS = {
    "RFC 854: text": (b"a\r\nb\r\0", [("TEXT", b"a\r\nb\r\0", 0)]),
    "RFC 854: 255 is sent twice": (b"a\xff\xffb", [("TEXT", b"a\xffb", 0)]),
    "RFC 854: Are You There, and Synch": (b"\xff\xf6a\xff\xf2", [
        ("COMMAND", b"\xf6", 0), ("TEXT", b"a", 2), ("COMMAND", b"\xf2", 3),
    ]),
    "RFC 855: an option": (b"a\xff\xfd\x18b", [("TEXT", b"a", 0), ("OPTION", b"\xfd\x18", 1), ("TEXT", b"b", 4)]),
    "RFC 857: IAC WILL ECHO": (b"\xff\xfb\x01", [("OPTION", b"\xfb\x01", 0)]),
    "RFC 1073: 80 columns, 24 lines": (b"\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0",
    [("SUBOPTION", b"\x1f\x00\x50\x00\x18", 0)]),
    "RFC 1073: 255 columns": (b"\xff\xfa\x1f\x00\xff\xff\x00\x18\xff\xf0$", [
        ("SUBOPTION", b"\x1f\x00\xff\x00\x18", 0), ("TEXT", b"$", 10),
    ]),
    "RFC 1091: TERMINAL-TYPE IS DEC-VT52": (b"\xff\xfa\x18\x00DEC-VT52\xff\xf0",
    [("SUBOPTION", b"\x18\x00DEC-VT52", 0)]),
    "RFC 1184: LINEMODE MODE, a mask of 255": (b"\xff\xfa\x22\x01\xff\xff\xff\xf0",
    [("SUBOPTION", b"\x22\x01\xff", 0)]),
    "a suboption that nobody ended": (b"\xff\xfa\x18\x00x\xff\xfb\x01a", [
        ("SUBOPTION", b"\x18\x00x", 0), ("OPTION", b"\xfb\x01", 0), ("TEXT", b"a", 8),
    ]),
    "an end without a beginning": (b"a\xff\xf0b", [("TEXT", b"a", 0), ("COMMAND", b"\xf0", 1), ("TEXT", b"b", 3)]),
    "a command that is none": (b"\xff\x01a", [("COMMAND", b"\x01", 0), ("TEXT", b"a", 2)]),
    "cut off": (b"a\xff", [("TEXT", b"a", 0)]),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("cuts", [range(0), range(99)])
def test_streams_say(name: str, cuts: range) -> None:
    data, said = STREAMS[name]
    assert split(data, cuts) == said


@given(
    st.lists(st.sampled_from([b"a", b"\xff", b"\xfa", b"\xf0", b"\xfb", b"\x01", b"\r", b"\0"])),
    st.lists(st.integers(0, 40)),
)
def test_any_pieces_say_the_same(parts: list[bytes], cuts: list[int]) -> None:
    assert split(b"".join(parts), cuts) == split(b"".join(parts))


def test_an_endless_suboption_is_given_up() -> None:
    endless = b"\xff\xfa" + b"\x18" * MOST_SUBOPTION_BYTES
    assert split(endless + b"text") == [("TEXT", b"text", len(endless))]


OPTIONS = {
    "RFC 857: the server offers to echo": (SERVER, b"\xff\xfb\x01", {"echo": True}),
    "RFC 857: the client wants the echo": (CLIENT, b"\xff\xfd\x01", {"echo": True}),
    "the server stops": (SERVER, b"\xff\xfb\x01\xff\xfc\x01", {"echo": False}),
    "the client wants it no more": (CLIENT, b"\xff\xfd\x01\xff\xfe\x01", {"echo": False}),
    "the client offers to echo: no matter": (CLIENT, b"\xff\xfb\x01", {"echo": None}),
    "RFC 1073: 80 columns, 24 lines": (CLIENT, b"\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0", {"window": (80, 24)}),
    "RFC 1073: 255 columns": (CLIENT, b"\xff\xfa\x1f\x00\xff\xff\x00\x18\xff\xf0", {"window": (255, 24)}),
    "half a window": (CLIENT, b"\xff\xfa\x1f\x00\x50\xff\xf0", {"window": None}),
    "RFC 1091: IS DEC-VT52": (CLIENT, b"\xff\xfa\x18\x00DEC-VT52\xff\xf0", {"terminal_type": "DEC-VT52"}),
    "RFC 1091: SEND": (SERVER, b"\xff\xfa\x18\x01\xff\xf0", {"terminal_type": ""}),
    "a type that is no name": (CLIENT, b"\xff\xfa\x18\x00\x1b[2J\xff\xf0", {"terminal_type": ""}),
    "RFC 1572: USER": (CLIENT, b"\xff\xfa\x27\x00\x00USER\x01joe\x00DISPLAY\x01foo:0.0\xff\xf0", {"user": "joe"}),
    "RFC 1572: USER is told later": (CLIENT, b"\xff\xfa\x27\x02\x00USER\x01bob\xff\xf0", {"user": "bob"}),
    "RFC 1572: escaped": (CLIENT, b"\xff\xfa\x27\x00\x00USER\x01a\x02\x03b\xff\xf0", {"user": "a\x03b"}),
    "RFC 1572: not defined": (CLIENT, b"\xff\xfa\x27\x00\x00USER\xff\xf0", {"user": ""}),
    "RFC 2066: accepted": (CLIENT, b"\xff\xfa\x2a\x02ISO-8859-1\xff\xf0", {"charset": "ISO-8859-1"}),
    "RFC 2946: from here on encrypted": (SERVER, b"\xff\xfa\x26\x03\x00\xff\xf0", {"encrypted": True}),
    "RFC 2946: only which kinds": (SERVER, b"\xff\xfa\x26\x01\x01\xff\xf0", {"encrypted": False}),
    "no option that there is": (SERVER, b"\xff\xfb\xf9", {"seen": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_known(name: str) -> None:
    sender, data, expected = OPTIONS[name]
    options = Options()
    for said in Splitter().feed(data, 0):
        assert isinstance(said, Said)
        options.take(sender, said)
    assert {attribute: getattr(options, attribute) for attribute in expected} == expected


def test_sessions_that_went_wrong_hold() -> None:
    """A slice of what `python -m tests.fuzz.telnet` does for longer."""
    assert fuzz.main(["--runs", "1500", "--seed", "20"]) == 0


def test_the_fuzzer_sees_a_fault(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A splitter that forgets what it began, between pieces, is found; what is printed replays it."""
    real = Splitter.feed
    monkeypatch.setattr(
        Splitter, "feed", lambda self, data, offset: Splitter.__init__(self) or real(self, data, offset)
    )
    assert fuzz.main(["--runs", "1000"]) == 1
    session = capsys.readouterr().err.rpartition("--replay '")[2].rstrip("'\n")
    with pytest.raises(AssertionError, match="depends on the pieces"):
        fuzz.main(["--replay", session])
    monkeypatch.undo()
    assert fuzz.main(["--replay", session]) == 0


@pytest.mark.parametrize("session", [
    "s:0dfffa2e0267626bfff00a s:626f620a70770a6cb10a s:6c6f67696e20626f620d0a50617373776f72643a200d0a2420",
    "s:686f7374206c6f67696e3a20 c:5353482d322e302d780d0a626f62 c:626f620a70770a6c730a s:6c6f67696e3a20626f620d0a",
    "c:1b5b343047626f620d0a1b5b",
    "s:611b5b313b3148620d0a241b5b313b314820",
    "c:626f620a70770a" + 16 * "0a" + " s:5353482d322e302d780d0a",
    "s:50617373776f72643a20 c:70770d0a s:0d1b5b4b4c6f67696e20696e636f72726563740d0a",
])  # fmt: skip
def test_sessions_that_once_did_not_hold(session: str) -> None:
    assert fuzz.main(["--replay", session]) == 0
