"""Telnet sessions as their users saw them: `spanline follow --telnet`.

Oracle: what was put into crafted sessions, one key a packet; of real captures, the client's text that is listed beside
them, and what tshark's follow shows of the screen.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from spanline.cli import replaying
from spanline.plaintext.model import Conversation
from spanline.plaintext.redaction import Redactor
from spanline.plaintext.session import Event, Session, Who
from spanline.stages.follow_telnet import TelnetSession
from tests.commands import PROGRAM, run
from tests.craft import Frame, ethernet, ipv4, tcp, udp
from tests.craft_files import START, Record, pcap
from tests.craft_tunnels import vxlan

pytestmark = pytest.mark.usefixtures("state")

CLIENT, SERVER = "10.0.0.5", "10.0.1.2"
PASSWORD = "Zw4-kq_pT81"
OFFER = b"\xff\xfd\x18\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03"
ACCEPT = b"\xff\xfb\x18\xff\xfb\x1f\xff\xfd\x01\xff\xfd\x03\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0"

MILLISECOND = 10**6

Said = tuple[int, int, bytes]
"""When, in ms; who, 0 is the client; what."""


def typed(at: int, keys: bytes, echo: bool = True) -> list[Said]:
    """Keys, each 100 ms after the one before, with their echo; then Enter."""
    said: list[Said] = []
    for n, key in enumerate(keys):
        said.append((at + 100 * n, 0, bytes([key])))
        if echo:
            said.append((at + 100 * n + 1, 1, b"\b \b" if key == 0x7F else bytes([key])))
    return [*said, (at + 100 * len(keys), 0, b"\r\0")]


def session(secret: bytes = PASSWORD.encode(), output: bytes = b"one  two\r\n") -> list[Said]:
    return [
        (0, 1, OFFER),
        (1, 0, ACCEPT),
        (2, 1, b"\r\nrouter login: "),
        *typed(1000, b"annn\x7f"),
        (1501, 1, b"\r\nPassword: "),
        *typed(2000, secret, echo=False),
        (5000, 1, b"\r\nLast login: Monday\r\n$ "),
        *typed(6000, b"ls"),
        (6201, 1, b"\r\n" + output + b"$ "),
        *typed(9000, b"exit"),
        (9401, 1, b"\r\nlogout\r\n"),
    ]


def frames(
    said: Iterable[Said], *, port: int = 50123, outer: Frame | None = None, only: int | None = None
) -> list[Record]:
    """A connection with its handshake; with `only`, what one side sent."""
    ends, ports, sent = (CLIENT, SERVER), (port, 23), [101, 901]
    records = []

    def add(at: int, way: int, flags: str, payload: bytes = b"") -> None:
        seq, ack = sent[way] - ("S" in flags), sent[1 - way]
        header = tcp(ports[way], ports[1 - way], seq=seq, ack=ack if "A" in flags else 0, flags=flags)
        frame = (outer or Frame()) / ethernet() / ipv4(ends[way], ends[1 - way]) / header / payload
        sent[way] += len(payload)
        if only in (None, way):
            records.append(Record(START + at * MILLISECOND, frame))

    add(-3, 0, "S")
    add(-2, 1, "SA")
    add(-1, 0, "A")
    last = 0
    for at, way, payload in said:
        add(at, way, "PA", payload)
        last = at
    add(last + 1, 0, "FA")
    add(last + 2, 1, "FA")
    return records


def written(folder: Path, records: Sequence[Record]) -> Path:
    path = folder / "session.pcap"
    path.write_bytes(pcap(records))
    return path


def objects(path: Path, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("follow", path, "--telnet", "--format", "json", *options).stdout)
    return found


def test_a_session_is_shown_as_its_user_saw_it(tmp_path: Path) -> None:
    lines = run("follow", written(tmp_path, frames(session())), "--telnet").stdout.splitlines()
    secret = re.fullmatch(r"ann, password 11 characters, hmac [0-9a-f]{12}: accepted", lines.pop(2))
    assert secret
    assert lines == [
        "telnet 10.0.0.5:50123 → 10.0.1.2:23",
        "2023-11-14 22:13:19.997 UTC, 9.40 s, 80×24, 2 command lines",
        "",
        "22:13:20",
        "          router login: «ann»",
        "22:13:21  Password: «••••••»",
        "22:13:25  Last login: Monday",
        "          $ «ls»",
        "22:13:26  one  two",
        "          $ «exit»",
        "22:13:29  logout",
    ]


def test_events_commands_and_attempts_go_into_json(tmp_path: Path) -> None:
    outer = ethernet() / ipv4() / udp(50000, 4789) / vxlan(77)
    (one,) = objects(written(tmp_path, frames(session(), outer=outer)))
    assert (one["client"], one["server"], one["server_port"], one["vni"]) == (CLIENT, SERVER, 23, 77)
    assert one["window"] == [80, 24]
    assert [command["text"] for command in one["commands"]] == ["ls", "exit"]
    (attempt,) = one["attempts"]
    assert (attempt["account"], attempt["outcome"], attempt["inferred"]) == ("ann", "accepted", False)
    keys = [(event["text"], event["secret"]) for event in one["events"] if event["who"] == "typed"]
    assert keys == [("ann", False), ("••••••", True), ("ls", False), ("exit", False)]
    times = [event["time"] for event in one["events"]]
    assert times == sorted(times)


@pytest.mark.parametrize("way", [[], ["--format", "json"], ["--stream", "tcp.stream==0"]], ids=" ".join)
def test_a_password_is_shown_only_when_it_is_asked_for(way: list[str], tmp_path: Path, state: Path) -> None:
    path = written(tmp_path, frames(session()))
    assert PASSWORD not in run("follow", path, "--telnet", *way).output
    before = (state / "revealed.jsonl").read_text() if (state / "revealed.jsonl").exists() else ""
    assert PASSWORD in run("follow", path, "--telnet", *way, "--reveal-anyway").stdout
    line = json.loads((state / "revealed.jsonl").read_text()[len(before) :])
    assert (line["command"], line["captures"], line["revealed"]) == ("spanline follow", [str(path)], 1)


def test_keys_in_a_stream_are_hidden_one_by_one(tmp_path: Path) -> None:
    path = written(tmp_path, frames(session()))
    lines = run("follow", path, "--stream", "tcp.stream==0", "--as-tshark").stdout_bytes.decode().split("\n")
    assert lines.count("•") == len(PASSWORD)
    assert not {*PASSWORD} & {line for line in lines if line.isalpha() and line.isupper()}
    assert "a" in lines


def test_of_several_sessions_one_can_be_chosen(tmp_path: Path) -> None:
    records = [*frames(session()), *frames(session(b"other"), port=50124)]
    path = written(tmp_path, sorted(records, key=lambda record: record.time))
    assert [one["client_port"] for one in objects(path)] == [50123, 50124]
    assert [one["client_port"] for one in objects(path, "--stream", "tcp.stream==1")] == [50124]
    assert [one["client_port"] for one in objects(path, "--stream", f"{CLIENT}:50124,{SERVER}:23")] == [50124]


def test_of_the_clients_side_alone_what_was_typed_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, frames(session(), only=0))
    (one,) = objects(path)
    (attempt,) = one["attempts"]
    assert (attempt["account"], attempt["inferred"]) == ("ann", True)
    assert [command["text"] for command in one["commands"]] == ["ls", "exit"]
    lines = run("follow", path, "--telnet").stdout.splitlines()
    assert [line[10:] for line in lines[4:]] == ["«ann»", "«••••••»", "«ls»", "«exit»"]


def test_what_a_server_prints_never_acts_upon_the_terminal(tmp_path: Path) -> None:
    nasty = "\x1b[2J\x1b]0;title\x07\x9b31mred\u202egnal\x1b[31mcolour\x1b[0m\x0e\r\n".encode()
    path = written(tmp_path, frames(session(output=nasty)))
    shown = run("follow", path, "--telnet").stdout
    assert "colour" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)
    shown = on_a_terminal("follow", path, "--telnet", "--replay", "--speed", "1000").decode()
    # What the terminal gets beside text: line ends, and the colours of our own.
    assert re.sub(r"\x1b\[[0-9;]*m|\r\n", "", shown).isprintable()


@pytest.mark.parametrize(
    ("said", "options", "message"),
    [
        ([(0, 1, b"SSH-2.0-OpenSSH_9.6\r\n"), (1, 0, b"SSH-2.0-PuTTY\r\n")], [], "no telnet session is there"),
        ([(0, 1, b"SSH-2.0-x\r\n")], ["--stream", "tcp.stream==0"], "no telnet session is in tcp.stream 0"),
        (session(), ["--stream", "tcp.stream==3"], "no conversation has tcp.stream 3; the last one is 0"),
        (session(), ["--replay"], "--replay plays on a terminal, and standard output is none"),
        (session(), ["--replay", "--format", "json"], "--replay plays on the terminal"),
        (session(), ["--reveal"], "--reveal shows secrets, and standard output is no terminal"),
    ],
)
def test_what_cannot_be_shown_is_told_in_a_line(
    said: list[Said], options: list[str], message: str, tmp_path: Path
) -> None:
    result = run("follow", written(tmp_path, frames(said)), "--telnet", *options, code=2)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert message in line


# --- on a terminal


def on_a_terminal(*arguments: str | Path, interrupt_behind: bytes = b"", code: int = 0) -> bytes:
    """What a command writes to a terminal; Ctrl-C comes when it has written `interrupt_behind`."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stdin=follower, stdout=follower, stderr=follower, env=environment, close_fds=True
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the terminal's other side is closed
            break
        shown += part
        if interrupt_behind and interrupt_behind in shown:
            process.send_signal(signal.SIGINT)
            interrupt_behind = b""
    os.close(leader)
    assert process.wait(timeout=60) == code, shown
    return shown


def test_a_replay_shows_the_session(tmp_path: Path) -> None:
    path = written(tmp_path, frames(session()))
    shown = on_a_terminal("follow", path, "--telnet", "--replay", "--speed", "100")
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")
    assert "router login: ann\nPassword: ••••••\nLast login: Monday\n$ ls\none  two\n$ exit\nlogout\n" in text
    assert PASSWORD not in text


@pytest.mark.parametrize(
    ("speed", "longest_pause", "pauses"),
    [(1.0, 2.0, [0, 0.5, 2.0, 0]), (2.0, 2.0, [0, 0.25, 2.0, 0]), (1.0, 60.0, [0, 0.5, 8.0, 0])],
)
def test_a_replay_takes_its_time(
    speed: float, longest_pause: float, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Session()
    # The last one comes before the one above, as frames may.
    for at, text in ((0, "login: "), (500, "\n"), (8500, "$ "), (8400, "bye")):
        played.events.append(Event(Who.PRINTED, text, START + at * MILLISECOND, 1))
    slept: list[float] = []
    monkeypatch.setattr(replaying.time, "sleep", slept.append)
    conversation = Conversation("tcp", CLIENT, 50123, SERVER, 23, START)
    replaying.replay([TelnetSession(conversation, played, ())], Redactor(bytes(32)), speed, longest_pause)
    assert slept == pytest.approx(pauses)


def test_an_interrupted_replay_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path, frames(session()))
    shown = on_a_terminal("follow", path, "--telnet", "--replay", interrupt_behind=b"login: ", code=130)
    assert shown.endswith(b"\x1b[0m\r\n") or shown.endswith(b"\x1b[0m\r\r\n")
    assert b"Traceback" not in shown


def test_on_a_terminal_a_password_is_revealed(tmp_path: Path) -> None:
    path = written(tmp_path, frames(session()))
    assert PASSWORD.encode() in on_a_terminal("follow", path, "--telnet", "--reveal")


# --- real captures

SCREENS = {
    "plaintext/telnet__BruteShark__Telnet.pcap": (
        "test", ["uname -a", "exit"], "Linux cm4116 2.6.30.2-uc0 #3 Tue Feb 22 00:57:18 EST 2011 armv4tl unknown"
    ),
    "plaintext/telnet__BruteShark__Telnet_-_Char_Mode.pcap": (
        "fake", ["ls", "ls -a", "/sbin/ping www.yahoo.com", "exit"], "round-trip min/avg/max = 68.728/72.807/75.831 ms"
    ),
    "plaintext/telnet__BruteShark__Telnet_-_Line_Mode.pcapng": (
        "fake", ["/sbin/ping www.yahoo.com", "ls", "ls -a", "exit"], "PING www.yahoo.com"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCREENS)
def test_real_sessions(name: str, captures: Path) -> None:
    account, commands, screen = SCREENS[name]
    (one,) = objects(captures / name)
    assert [command["text"] for command in one["commands"]] == commands
    assert [attempt["account"] for attempt in one["attempts"]] == [account]
    assert screen in "".join(event["text"] for event in one["events"])
