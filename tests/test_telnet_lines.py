"""Command lines of telnet sessions: as their users edited them, or as the echo shows them.

Truth: what the person meant whose keys they are.
"""

from __future__ import annotations

import pytest

from tests.craft_telnet import CLIENT, SERVER, prints, tell_of, types

EDITED = {
    "DEL": (b"lss\x7f", "ls"),
    "BS": (b"lss\x08", "ls"),
    "more DEL than letters": (b"\x7f\x7fls", "ls"),
    "IAC EC": (b"lss\xff\xf7", "ls"),
    "IAC EL": (b"rm -rf /\xff\xf8ls", "ls"),
    "kill": (b"rm -rf /\x15ls", "ls"),
    "word": (b"cat /etc/passwd  \x17/etc/motd", "cat /etc/motd"),
    "left and insert": (b"l -a\x1b[D\x1b[D\x1b[Ds", "ls -a"),
    "application arrows": (b"l -a\x1bOD\x1bOD\x1bODs\x1bOC", "ls -a"),
    "home and end": (b"s -\x01l\x05a", "ls -a"),
    "home and end keys": (b"s -\x1b[1~l\x1b[4~a", "ls -a"),
    "delete": (b"lss\x1b[D\x1b[3~", "ls"),
    "kill to the end, and back": (b"ls -a\x01\x06\x06\x0b\x19", "ls -a"),
    "transposed": (b"sl\x14", "ls"),
    "literal": (b"a\x16\x09b", "a\tb"),
    "UTF-8": ("grep ä\x7fö".encode(), "grep ö"),
    "Latin-1": (b"grep \xe4", "grep ä"),
    "a doubled IAC": (b"\xff\xff", "ÿ"),
    "options in between": (b"l\xff\xfb\x1f\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0s\xff\xf1", "ls"),
    "NUL": (b"l\0s", "ls"),
}


@pytest.mark.parametrize("name", EDITED)
@pytest.mark.parametrize("enter", [b"\r\0", b"\r\n", b"\n", b"\r"])
def test_lines_are_as_edited(name: str, enter: bytes) -> None:
    keys, meant = EDITED[name]
    result = tell_of(prints("$ "), [(CLIENT, keys + enter)], prints("\r\n$ "), [(CLIENT, b"exit" + enter)])
    assert result.commands == [meant, "exit"]


FROM_THE_ECHO = {
    "completion": ([(CLIENT, b"cat mo\t"), (SERVER, b"cat motd "), (CLIENT, b"\r\0")], "cat motd"),
    "history": ([(CLIENT, b"\x1b[A"), (SERVER, b"ls -la"), (CLIENT, b"\r\0")], "ls -la"),
    "history, twice": (
        [(CLIENT, b"\x1b[A"), (SERVER, b"ls -la"), (CLIENT, b"\x1b[A"),
         (SERVER, b"\x08\x08\x08\x08\x08\x08pwd\x1b[K"), (CLIENT, b"\r\0")],
        "pwd",
    ),
    "a list of completions": (
        [(CLIENT, b"sh v\t"), (SERVER, b"sh v\r\nversion  vlan\r\n$ sh v"), (CLIENT, b"ersion"), (SERVER, b"ersion"),
         (CLIENT, b"\r\0")],
        "sh version",
    ),
    "help of a router": (
        [(CLIENT, b"sh ?"), (SERVER, b"sh ?\r\n  version\r\n\r\n$ sh "), (CLIENT, b"ver"), (SERVER, b"ver"),
         (CLIENT, b"\r\0")],
        "sh ver",
    ),
    "letters put in": (
        [(CLIENT, b"\x1b[A"), (SERVER, b"ls a"), (CLIENT, b"\x1b[D"), (SERVER, b"\x08"), (CLIENT, b"-"),
         (SERVER, b"\x1b[1@-"), (CLIENT, b"\r\0")],
        "ls -a",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FROM_THE_ECHO)
def test_what_keys_do_not_tell_the_echo_does(name: str) -> None:
    said, meant = FROM_THE_ECHO[name]
    result = tell_of(prints("$ "), said, prints("\r\n$ "), types("exit"))
    assert result.commands == [meant, "exit"]
    assert [command.from_echo for command in result.parser.session.commands] == [True, False]


def test_keys_that_a_pager_takes_are_no_command() -> None:
    result = tell_of(
        prints("$ "), types("man ls"), prints("LS(1)\r\n--More--"), [(CLIENT, b" ")],
        prints("\r\x1b[K more text\r\n:"),
        [(CLIENT, b"q")], prints("\r\x1b[K\r\n$ "), types("exit"),
    )  # fmt: skip
    assert result.commands == ["man ls", "exit"]


def test_a_command_longer_than_the_window_is_one_line() -> None:
    window = [(CLIENT, b"\xff\xfa\x1f\x00\x14\x00\x18\xff\xf0")]
    # As readline draws it: at the margin a space and CR, so that the cursor goes to the next row.
    echo = b"echo 0123456789012 \r345\x08\x08\x1b[K"
    said = [(CLIENT, b"\x1b[A"), (SERVER, echo), (CLIENT, b"\r\0")]
    result = tell_of(window, prints("$ "), said, prints("\r\n$ "), types("exit"))
    assert result.commands == ["echo 01234567890123", "exit"]
