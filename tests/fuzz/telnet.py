"""Telnet sessions that went wrong in every way, through their parser.

    python -m tests.fuzz.telnet --runs 1000000 --seed 1
    python -m tests.fuzz.telnet --seconds 3600 --seed 2
    python -m tests.fuzz.telnet --replay 's:6c6f67696e3a20 c:626f620d00'

A case is a session, a list of what either side sends. It comes from a part of one of ours by changed, lost and moved
bytes, by words that mean something to the parser, and by parts of another session. What must hold: nothing is raised;
what is told does not depend on how the bytes are cut into pieces; spans lie within what was sent, and frames are some
of it. Equal seeds make equal cases. A case that does not hold is printed so that --replay takes it.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from random import Random
from typing import cast

from spanline.plaintext.line_editor import MOST_CELLS
from spanline.plaintext.model import Finding, Sender
from spanline.plaintext.parsers.telnet import TelnetParser
from tests.craft_telnet import CLIENT, CONVERSATION, SERVER, Said, pieces

MOST_BYTES = 600
MOST_PARTS = 9

SESSIONS: list[list[Said]] = [
    [
        (SERVER, b"\xff\xfd\x18\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03"),
        (CLIENT, b"\xff\xfb\x18\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0\xff\xfa\x18\x00xterm\xff\xf0"),
        (SERVER, b"host login: "), (CLIENT, b"bob"), (SERVER, b"bob"), (CLIENT, b"\r\0"),
        (SERVER, b"\r\nPassword: "), (CLIENT, b"p"), (CLIENT, b"w\x7fx\r\0"),
         (SERVER, b"\r\nLogin incorrect\r\nhost login: "),
        (CLIENT, b"bob\r\0"), (SERVER, b"bob\r\nPassword: "), (CLIENT, b"secret\r\0"),
        (SERVER, b"\r\nLast login: today\r\n\x1b]0;t\x07\x1b[1mbob@host\x1b[0m:~$ "),
         (CLIENT, b"ls\x1b[D-\x01\t\r\0"),
        (SERVER, b"ls\r\na b\r\nbob@host:~$ "),
    ],
    [
        (SERVER, b"\r\nUser Access Verification\r\n\r\nUsername: "), (CLIENT, b"op\r\n"),
         (SERVER, b"op\r\nPassword: "),
        (CLIENT, b"one\r\n"), (SERVER, b"\r\nRouter>"), (CLIENT, b"en\r\n"), (SERVER, b"en\r\nPassword: "),
        (CLIENT, b"two\r\n"), (SERVER, b"\r\n% Access denied\r\nRouter>"), (CLIENT, b"sh ?"),
        (SERVER, b"sh ?\r\n  version\r\nRouter>sh "), (CLIENT, b"ver\r\n"), (SERVER, b"ver\r\nIOS\r\n --More-- "),
        (CLIENT, b" "), (SERVER, b"\x08\x08\x08\r\nRouter>"),
    ],
    [(CLIENT, b"bob\r\n"), (CLIENT, b"\xff\xfd\x01no\r\n\xff\xfe\x01"), (CLIENT, b"bob\r\n"),
     (CLIENT, b"pw\r\nls\r\nsu\r\nx\r\nid\r\n")],
    [(SERVER, b"\r\n"), (CLIENT, b"bob\npw\nls\n"),
     (SERVER, b"login: bob\r\nPassword: \r\nWelcome\r\n$ ls\r\na\r\n$ ")],
    [(SERVER, "用户名: ".encode()), (CLIENT, "李\r\0".encode()), (SERVER, "李\r\n密码: ".encode()),
     (CLIENT, b"\xc3\xdc\xff\xff\r\0"),
     (SERVER, "***\r\n登录失败\r\n用户名: ".encode()), (CLIENT, b"\x1b[A\r\0"), (SERVER, "李\r\n".encode())],
]  # fmt: skip

WORDS = [
    b"\xff", b"\xff\xff", b"\xff\xfa", b"\xff\xf0", b"\xff\xfb\x01", b"\xff\xfc\x01", b"\xff\xfd\x01",
    b"\xff\xfe\x01", b"\xff\xf4",
    b"\xff\xf7", b"\xff\xf8", b"\xff\xfa\x1f\x00\x0a\x00\x05\xff\xf0", b"\xff\xfa\x27\x00\x03USER\x01x\xff\xf0",
    b"\xff\xfa\x2a\x02gbk\xff\xf0",
    b"\r", b"\n", b"\r\n", b"\r\0", b"\0", b"\x03", b"\x04", b"\x08", b"\x15", b"\x16", b"\x17", b"\x19", b"\x0b",
    b"\x14", b"\x7f", b"\t",
    b"\x1b", b"\x1b[", b"\x1b[A", b"\x1b[C", b"\x1b[D", b"\x1bOD", b"\x1b[3~", b"\x1b[K", b"\x1b[2K", b"\x1b[J",
    b"\x1b[2J", b"\x1b[1;1H",
    b"\x1b[9P", b"\x1b[5@", b"\x1b[40G", b"\x1b]0;", b"\x1b(B", b"\x07", b"login: ", b"Password: ", b"New password: ",
    b"[sudo] password for x: ",
    b"$ ", b"> ", b"# ", b"Name: ", b"Login incorrect\r\n", b"Welcome\r\n", b"Last login: ", b"enable\r\n", b"su\r\n",
    b"--More--",
    b"\xc3", b"\xa4", b"\xe5\xaf", b"\x86", "ｗ".encode(), b"e\xcc\x81", b"SSH-2.0-x\r\n", b"a" * 90,
]  # fmt: skip


def changed(chance: Random, session: list[Said]) -> list[Said]:
    """A session with one to six things wrong."""
    said = list(session)
    for _ in range(1 + int(chance.random() * 6)):
        if not said:
            break
        number = int(chance.random() * len(said))
        sender, data = said[number]
        at = int(chance.random() * (len(data) + 1))
        how = int(chance.random() * 9)
        if how < 3:
            word = WORDS[int(chance.random() * len(WORDS))]
            said[number] = sender, data[:at] + word + data[at:]
        elif how == 3:
            said[number] = sender, data[:at] + bytes([int(chance.random() * 256)]) + data[at + 1 :]
        elif how == 4:
            said[number] = sender, data[:at] + data[at + 1 + int(chance.random() * 4) :]
        elif how == 5:
            said[number : number + 1] = [(sender, data[:at]), (sender, data[at:])]
        elif how == 6:
            said[number] = Sender(1 - sender), data
        elif how == 7:
            del said[number : number + 1 + int(chance.random() * 3)]
        else:
            other = SESSIONS[int(chance.random() * len(SESSIONS))]
            begin = int(chance.random() * len(other))
            said[number:number] = other[begin : begin + 1 + int(chance.random() * 3)]
    return said


def cases(seed: int) -> Iterator[tuple[list[Said], list[int]]]:
    """Sessions, and for each the places where it is to be cut; for ever."""
    chance = Random(seed)
    while True:
        session = SESSIONS[int(chance.random() * len(SESSIONS))]
        begin = int(chance.random() * len(session)) if chance.random() < 0.5 else 0
        said = changed(chance, session[begin : begin + 2 + int(chance.random() * MOST_PARTS)])
        while (size := sum(len(data) for _, data in said)) > MOST_BYTES:
            said.pop()
        # Now and then in single bytes.
        few = 1 + int(chance.random() * 4)
        cuts = range(1, size) if chance.random() < 0.02 else [int(chance.random() * size) for _ in range(few)]
        yield said, list(cuts)


def run(said: Sequence[Said], cuts: Sequence[int]) -> tuple[object, ...]:
    """What is told of a session that is cut at these places."""
    parser = TelnetParser(CONVERSATION, transcript=True)
    findings: list[Finding] = []
    for piece in pieces(said, cuts):
        findings += parser.feed(piece)
    findings += parser.finish()
    session = parser.session
    assert session is not None
    session.text()
    return findings, session.events, session.commands, session.window, session.terminal_type, parser.done


def check(said: Sequence[Said], cuts: Sequence[int]) -> None:
    """Raises where something does not hold."""
    told = run(said, ())
    assert told == run(said, cuts), "it depends on the pieces"
    findings = cast(list[Finding], told[0])
    sent = {side: sum(len(data) for sender, data in said if sender is side) for side in Sender}
    for finding in findings:
        for span in finding.spans:
            assert 0 <= span.start <= span.end <= sent[span.sender], "a span lies elsewhere"
        assert finding.secret is None or len(finding.secret) <= MOST_CELLS * 4, "a secret is too long"
        assert all(0 < frame <= len(said) for frame in finding.frames), "a frame is none"


def written(said: Sequence[Said]) -> str:
    """A session as --replay takes it."""
    return " ".join(f"{'cs'[sender]}:{data.hex()}" for sender, data in said)


def read(text: str) -> list[Said]:
    parts = [part.partition(":") for part in text.split()]
    return [(CLIENT if side == "c" else SERVER, bytes.fromhex(data)) for side, _, data in parts]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=sys.maxsize, help="how many cases")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="how long at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", help="a session that was printed")
    options = parser.parse_args(arguments)
    if options.replay is not None:
        said = read(options.replay)
        size = sum(len(data) for _, data in said)
        for cuts in [range(1, size), *([cut] for cut in range(1, size))]:
            check(said, cuts)
        return 0
    begun = time.monotonic()
    number = 0
    for said, cuts in cases(options.seed):
        if number >= options.runs or (number % 256 == 0 and time.monotonic() - begun > options.seconds):
            break
        number += 1
        try:
            check(said, cuts)
        except Exception:
            traceback.print_exc()
            print(f"seed {options.seed}, case {number}, cut at {cuts}: --replay '{written(said)}'", file=sys.stderr)
            return 1
    seconds = time.monotonic() - begun
    print(f"{number} cases of seed {options.seed} in {seconds:.0f} s: all hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
