"""Telnet sessions: in any pieces, of one side alone, and with something missing.

Truth: what the person meant whose keys they are.
"""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanline.plaintext.model import Finding, Kind, Outcome, Piece, Sender, Severity, Span
from spanline.plaintext.parsers.telnet import TelnetParser
from spanline.plaintext.session import MASK, MOST_TEXT, Who
from tests.craft_telnet import (
    CLIENT,
    CONVERSATION,
    GAP,
    LOGIN,
    SERVER,
    START,
    Said,
    Told,
    flat,
    hides,
    pieces,
    prints,
    sends,
    tell,
    tell_of,
    types,
)

LOGINS = [("alice", "wong", "refused"), ("alice", "opensesame", "accepted")]


def told(result: Told) -> tuple[list[Finding], list[str], str]:
    return result.findings, result.commands, result.text


def test_a_session_is_told_as_its_user_saw_it() -> None:
    result = tell_of(*LOGIN)
    assert result.logins == LOGINS
    assert result.commands == ["ls /", "exit"]
    assert result.text == (
        f"Debian 12\nhost login: alice\nPassword: {MASK}\n\nLogin incorrect\nhost login: alice\nPassword: {MASK}\n"
        "Last login: today\nalice@host:~$ ls /\nbin  etc\nalice@host:~$ exit\nlogout\n"
    )
    session = result.parser.session
    assert session is not None
    assert (session.window, session.terminal_type, session.cut) == ((80, 24), "xterm-256color", False)
    assert session.text(mask=None).count("opensesame") == 1
    assert [event.text for event in session.events if event.secret] == ["wong", "opensesame"]
    assert [event.text for event in session.events if event.who is Who.TYPED and not event.secret] == [
        "alice", "alice", "ls /", "exit",
    ]  # fmt: skip
    assert [event.time for event in session.events] == sorted(event.time for event in session.events)


def test_findings_tell_where_and_what_to_do() -> None:
    said = flat(*LOGIN)
    frames = {frame: data for frame, (_, data) in enumerate(said, 1)}
    first, second = tell_of(*LOGIN).findings
    for finding, answer in ((first, b"Login incorrect"), (second, b"Last login")):
        account, secret, told_by = finding.frames
        assert frames[account] == frames[secret] == b"\r\0"
        assert answer in frames[told_by]
        assert finding.time == START + secret * GAP
        assert (finding.kind, finding.scheme, finding.severity) == (
            Kind.CREDENTIAL, "login and password", Severity.HIGH,
        )  # fmt: skip
        assert "SSH" in finding.remedy
        assert not finding.inferred
    stream = b"".join(data for sender, data in said if sender is CLIENT)
    assert [stream[span.start : span.end] for f in (first, second) for span in f.spans] == [b"wr\x7fong", b"opensesame"]


def test_a_secret_that_the_server_shows_is_left_out_of_its_stream_too() -> None:
    said = flat(prints("login: "), types("a"), prints("Password: "), types("op\x7fen"), prints("$ "))
    [finding] = tell(pieces(said)).findings
    streams = {side: b"".join(data for sender, data in said if sender is side) for side in (CLIENT, SERVER)}
    assert [(span.sender, streams[span.sender][span.start : span.end]) for span in finding.spans] == [
        (CLIENT, b"op\x7fen"),
        (SERVER, b"op\b \ben\r\n"),
    ]
    assert "shown on the screen" in finding.detail


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, sum(len(data) for _, data in flat(*LOGIN)) - 1), max_size=60))
def test_any_cut_of_the_same_bytes_tells_the_same(cuts: list[int]) -> None:
    assert told(tell(pieces(flat(*LOGIN), cuts))) == told(tell_of(*LOGIN))


HARD = flat(
    prints(b"\xff\xfb\x01\x1b]0;title\x07\x1b[1;32mhost\x1b[0m login: "),
    [(CLIENT, b"\xff\xfa\x27\x00\x00USER\x01bob\xff\xf0"),
     (CLIENT, "jö\x7fe".encode() + b"\x1b[D\x1b[3~\xff\xf1y\r\n")],
    prints("joy\r\n密码: "), [(CLIENT, b"\xff\xff\xe4\r\0")], prints(b"\r\n\x1b[K\xe4\xff\xff$ "),
    [(CLIENT, b"l\t\x1b[A"), (SERVER, b"ls\x08s -l"), (CLIENT, b"\r\0")], prints("\r\na\r\n$ "),
)  # fmt: skip


@pytest.mark.parametrize("said", [HARD, flat(*LOGIN)])
def test_single_bytes_tell_the_same(said: list[Said]) -> None:
    assert told(tell(pieces(said, range(1, 10_000)))) == told(tell(pieces(said)))


def test_the_hard_session_is_read_rightly() -> None:
    result = tell(pieces(HARD))
    [finding] = result.findings
    assert (finding.account, finding.secret and finding.secret.reveal()) == ("jy", b"\xff\xe4")
    assert result.commands == ["ls -l"]


ONE_SIDED: dict[str, tuple[list[list[Said]], list[tuple[str, str | None, str]], list[str]]] = {
    "login": ([types("bob"), hides("pw"), types("ls"), types("exit")], [("bob", "pw", "accepted")], ["ls", "exit"]),
    "no more": ([types("bob"), hides("pw")], [("bob", "pw", "unknown")], []),
    "refused": (
        [types("bob"), hides("no"), types("bob"), hides("pw"), types("ls")],
        [("bob", "no", "refused"), ("bob", "pw", "accepted")],
        ["ls"],
    ),
    "a letter wrong in the account": (
        [types("rot"), hides("pw"), types("root"), hides("pw"), types("ls")],
        [("rot", "pw", "refused"), ("root", "pw", "accepted")],
        ["ls"],
    ),
    "another account, where the server says what it shows": (
        [
            [(CLIENT, b"\xff\xfe\x01")], sends("bob"), [(CLIENT, b"\xff\xfd\x01")], sends("no"),
             [(CLIENT, b"\xff\xfe\x01")],
            sends("carol"), [(CLIENT, b"\xff\xfd\x01")], sends("pw"), [(CLIENT, b"\xff\xfe\x01")], sends("ls"),
        ],
        [("bob", "no", "refused"), ("carol", "pw", "accepted")],
        ["ls"],
    ),
    "Enter first": ([types(""), types("bob"), hides("pw"), types("ls")], [("bob", "pw", "accepted")], ["ls"]),
    "no secret": ([types("bob"), hides(""), types("ls")], [("bob", "", "accepted")], ["ls"]),
    "a router": (
        [types("cisco"), types("en"), hides("s3cret"), types("show run")],
        [("", "cisco", "accepted"), ("enable", "s3cret", "accepted")],
        ["en", "show run"],
    ),
    "a router with accounts": (
        [types("op"), hides("pw"), types("enable"), hides("s3"), types("show run")],
        [("op", "pw", "accepted"), ("enable", "s3", "accepted")],
        ["enable", "show run"],
    ),
    "the client told the account": (
        [[(CLIENT, b"\xff\xfa\x27\x00\x00USER\x01bob\xff\xf0")], hides("pw"), types("ls")],
        [("bob", "pw", "accepted")],
        ["ls"],
    ),
    "edited": ([types("bobb\x7f"), hides("xx\x15pw"), types("lss\x08")], [("bob", "pw", "accepted")], ["ls"]),
    "given up": (
        [types("bob"), [(CLIENT, b"no\3")], types("bob"), hides("pw"), types("ls")],
        [("bob", "no", "unknown"), ("bob", "pw", "accepted")],
        ["ls"],
    ),
    "many commands": (
        [types("bob"), hides("pw"), *(types(f"echo {n}") for n in range(40))],
        [("bob", "pw", "accepted")],
        [f"echo {n}" for n in range(40)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_SIDED)
def test_the_clients_side_alone(name: str) -> None:
    said, logins, commands = ONE_SIDED[name]
    result = tell_of(*said, only=CLIENT)
    assert result.logins == logins
    assert result.commands == commands
    assert all(finding.inferred for finding in result.findings)
    assert [event.text for event in result.parser.session.events if event.secret] == [s for _, s, _ in logins]


def test_an_account_alone_is_no_login() -> None:
    [finding] = tell_of(types("bob"), only=CLIENT).findings
    assert (finding.kind, finding.secret, finding.detail) == (Kind.SERVICE, None, "only the client's side was captured")


def test_the_servers_side_alone_tells_the_account() -> None:
    [finding] = tell_of(*LOGIN, only=SERVER).findings
    assert (finding.kind, finding.account, finding.secret, finding.outcome, finding.inferred) == (
        Kind.SERVICE, "alice", None, Outcome.ACCEPTED, True,
    )  # fmt: skip


def test_a_session_that_began_before_the_capture() -> None:
    result = tell_of(prints("alice@host:~$ "), types("ls"), prints("a\r\nalice@host:~$ "), types("id"), prints("0\r\n"))
    [finding] = result.findings
    assert (finding.kind, finding.account, finding.detail) == (Kind.SERVICE, "", "2 command lines")
    assert result.commands == ["ls", "id"]


# What the server sends behind a password at "Password: ", the outcome that it tells, and the transcript behind it.
DRAWN_OVER = {
    "erased, and refused": (b"\r\x1b[KLogin incorrect\r\nlogin: ", "refused", "\nLogin incorrect\nlogin: "),
    "erased whole": (b"\x1b[2K\x1b[1GLogin incorrect\r\n", "refused", "\nLogin incorrect\n"),
    "accepted": (b"\r\x1b[JWelcome\r\n$ ", "accepted", "\nWelcome\n$ "),
    "the question again": (b"\r\x1b[KPassword: \r\nWelcome\r\n$ ", "accepted", "\nWelcome\n$ "),
    "the question and the secret": (b"\r\x1b[KPassword: hunter2\r\nWelcome\r\n", "accepted", "\nWelcome\n"),
}


@pytest.mark.parametrize("cuts", [(), range(1, 400)])
@pytest.mark.parametrize("name", DRAWN_OVER)
def test_what_is_printed_where_a_question_was_erased_is_read_whole(name: str, cuts: range) -> None:
    answer, outcome, text = DRAWN_OVER[name]
    result = tell(
        pieces(flat(prints("login: "), sends("bob"), prints("Password: "), sends("hunter2"), prints(answer)), cuts)
    )
    assert result.logins == [("bob", "hunter2", outcome)]
    assert result.text == f"login: bob\nPassword: {MASK}{text}"


FOREIGN = {
    "TLS": [(CLIENT, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)))],
    "SSH": [(SERVER, b"SSH-2.0-OpenSSH_9.2\r\n"), (CLIENT, b"SSH-2.0-PuTTY\r\n")],
    "HTTP": [(CLIENT, b"GET /login: HTTP/1.1\r\nHost: a\r\n\r\n"), (SERVER, b"HTTP/1.1 200 OK\r\n\r\nlogin: ")],
    "VNC": [(SERVER, b"RFB 003.008\n"), (CLIENT, b"RFB 003.008\n")],
    "Telnet that begins TLS": flat(prints("\xff\xfd\x2e"),
    [(CLIENT, b"\xff\xfb\x2e\xff\xfa\x2e\x01\xff\xf0"), (SERVER, b"\x16\x03")]),
    "Telnet that encrypts": flat(prints(b"\xff\xfa\x26\x03\x00\xff\xf0"), [(CLIENT, b"sdkjfh\r\0")]),
    "bytes of anything": [(CLIENT, bytes(range(0, 256, 3)) * 4), (SERVER, bytes(range(255, 0, -3)) * 4)],
}  # fmt: skip


@pytest.mark.parametrize("cuts", [(), range(1, 400)])
@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_readable_telnet_gives_nothing(name: str, cuts: range) -> None:
    assert tell(pieces(FOREIGN[name], cuts)).findings == []


def test_a_parser_of_something_else_wants_no_more() -> None:
    parser = TelnetParser(CONVERSATION)
    for piece in pieces(FOREIGN["SSH"]):
        parser.feed(piece)
    assert parser.done


def test_missing_bytes_end_lines_and_options() -> None:
    parser = TelnetParser(CONVERSATION, transcript=True)
    said = [
        (SERVER, b"login: ", 0), (CLIENT, b"bob\r\0", 0), (SERVER, b"Pass\xff\xfa\x18", 0),
         (SERVER, b"Password: ", 100),
        (CLIENT, b"se", 0), (CLIENT, b"cret\r\0", 0), (SERVER, b"\r\nWelcome\r\n", 0),
    ]  # fmt: skip
    findings: list[Finding] = []
    at = {CLIENT: 0, SERVER: 0}
    for frame, (sender, data, gap) in enumerate(said, 1):
        at[sender] += gap
        findings += parser.feed(Piece(sender, data, at[sender], START + frame, frame, gap))
        at[sender] += len(data)
    [finding] = [*findings, *parser.finish()]
    assert (finding.account, finding.secret and finding.secret.reveal(), finding.outcome) == (
        "bob", b"secret", Outcome.ACCEPTED,
    )  # fmt: skip
    assert finding.spans == (Span(CLIENT, 5, 11),)


def test_a_secret_whose_question_is_missing_is_in_no_transcript() -> None:
    parts = [*prints(b"\xff\xfb\x01login: "), *types("bob")]
    parser = TelnetParser(CONVERSATION, transcript=True)
    for piece in pieces(parts):
        parser.feed(piece)
    at = sum(len(data) for sender, data in parts if sender is CLIENT)
    parser.feed(Piece(SERVER, b"", 500, START, 90, gap=400))
    parser.feed(Piece(CLIENT, b"opensesame\r\0", at, START, 91))
    parser.feed(Piece(SERVER, b"\r\n$ ", 500, START, 92))
    parser.feed(Piece(CLIENT, b"ls\r\0", at + 12, START, 93))
    parser.finish()
    assert parser.session is not None
    assert [command.text for command in parser.session.commands] == ["ls"]
    assert "opensesame" not in parser.session.text()


@pytest.mark.parametrize("flood", [
    b"a", b"\x1b[", b"\xff\xfa\x18", b"\xff\xfa\x18a", b"\r\n", b"\xff\xff", b"\x1b]", b"login: ", b"\x7f",
    b"\xe4\xbd", b"x\r",
    b"\x1b[9999C", b"\xff\xfb\x01", b"Password: \r\n", b" ", b"user's ",
])  # fmt: skip
@pytest.mark.parametrize("sender", [CLIENT, SERVER])
def test_memory_is_bounded(flood: bytes, sender: Sender) -> None:
    parser = TelnetParser(CONVERSATION)
    block = flood * (4096 // len(flood))
    parser.feed(Piece(SERVER if sender is CLIENT else CLIENT, b"\xff\xf1", 0, START, 1))
    sizes = []
    for n in range(24):
        parser.feed(Piece(sender, block, n * len(block), START + n, n + 2))
        sizes.append(len(pickle.dumps(parser)))
    assert sizes[-1] < sizes[12] + 1024, "it grows"
    assert sizes[-1] < 250_000
    parser.finish()


def test_transcripts_are_bounded_and_say_so() -> None:
    line = b"a" * 4000 + b"\r\n"
    parser = TelnetParser(CONVERSATION, transcript=True)
    for n in range(1000):
        parser.feed(Piece(SERVER, line, n * len(line), START + n, n + 1))
    parser.finish()
    assert parser.session is not None
    assert parser.session.cut
    assert MOST_TEXT * 0.99 < len(parser.session.text()) <= MOST_TEXT


def test_a_parser_goes_on_where_it_was_kept() -> None:
    """Stages keep their state between runs: a parser is pickled, at any piece."""
    parser = TelnetParser(CONVERSATION, transcript=True)
    findings: list[Finding] = []
    for piece in pieces(flat(*LOGIN)):
        parser = pickle.loads(pickle.dumps(parser))
        findings += parser.feed(piece)
    assert told(Told([*findings, *parser.finish()], parser)) == told(tell_of(*LOGIN))


def test_no_text_of_a_finding_or_a_session_tells_a_secret() -> None:
    result = tell_of(*LOGIN)
    everything = repr(result.findings) + str(result.findings) + repr(result.parser)
    assert result.parser.session is not None
    everything += repr(result.parser.session.events) + result.text
    assert "opensesame" not in everything
