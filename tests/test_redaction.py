"""Secrets stay secret: what is shown instead of them, where they may be shown, and that nothing else shows them.

Truth: secrets that were planted, looked for in the bytes of everything that comes out; HMAC by the standard library's
hmac and RFC 4231.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import random
import shutil
import stat
import string
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import numpy as np
import pytest
from click.testing import Result
from pyarrow.parquet import read_table

import spanline
from spanline.errors import UsageError
from spanline.keeping import installation_key, state_folder
from spanline.plaintext.audit import AuditLog
from spanline.plaintext.model import Finding, Parser, Piece, Secret
from spanline.plaintext.model import Plaintext as Protocol
from spanline.plaintext.parsers import http
from spanline.plaintext.redaction import Redactor, Revealer, installation_redactor
from spanline.stages.plaintext import Plaintext
from tests.commands import PROGRAM, run
from tests.craft_conversations import conversation, together
from tests.craft_files import START, pcap
from tests.kept import begin_with_what_is_made
from tests.planted import LOGINS

COUNT = 1000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything that is kept or written on the way stands here."""
    folder = tmp_path / "home"
    (folder / "tmp").mkdir(parents=True)
    begin_with_what_is_made(tmp_path_factory, folder / ".cache", folder / ".local/state")
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    return folder


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    path = tmp_path / "planted.pcap"
    login = LOGINS["ftp"].dialogue(b"alice", b"opensesame")
    path.write_bytes(pcap(conversation(login, 21)))
    return path


# --- what is shown


def test_length_and_the_beginning_of_an_hmac() -> None:
    """RFC 4231 section 4.3: key "Jefe"."""
    text = Redactor(b"Jefe").text(Secret(b"what do ya want for nothing?"))
    assert text == "28 characters, hmac 5bdcc146bf60"


@pytest.mark.parametrize(
    ("secret", "length"),
    [(b"", "0 characters"), (b"x", "1 character"), ("hünter2".encode(), "7 characters"), (b"\xff\xfe", "2 bytes")],
)
def test_length_is_as_who_typed_it_counts(secret: bytes, length: str) -> None:
    assert Redactor(bytes(32)).text(Secret(secret)).partition(",")[0] == length


def test_one_secret_of_two_accounts_shows(tmp_path: Path) -> None:
    path = tmp_path / "two.pcap"
    some = [
        conversation(LOGINS[name].dialogue(account, b"opensesame"), LOGINS[name].port, client_port=n)
        for n, (name, account) in enumerate([("ftp", b"alice"), ("imap", b"bob")], 50000)
    ]
    path.write_bytes(pcap(together(some)))
    rows = json.loads(run("plaintext", "--format", "json", path).stdout)
    assert {row["account"] for row in rows} == {"alice", "bob"}
    assert len({row["secret"] for row in rows}) == 1


def test_the_key_is_of_this_installation(home: Path) -> None:
    shutil.rmtree(state_folder())
    redactor, warning = installation_redactor()
    assert warning == ""
    secret = Secret(b"opensesame")
    expected = hmac.new(installation_key("redaction"), b"opensesame", "sha256").hexdigest()[:12]
    assert redactor.text(secret) == installation_redactor()[0].text(secret) == f"10 characters, hmac {expected}"
    (key,) = state_folder().iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(state_folder().stat().st_mode) == 0o700


def test_without_a_place_for_the_key_it_is_of_this_run(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    first, second = (run("plaintext", "--format", "json", planted) for _ in range(2))
    assert "hmacs of secrets are of this run only" in first.stderr
    assert json.loads(first.stdout)[0]["secret"] != json.loads(second.stdout)[0]["secret"]


def test_a_key_that_others_can_read_is_refused(planted: Path) -> None:
    run("plaintext", planted)
    (key,) = state_folder().iterdir()
    key.chmod(0o644)
    result = run("plaintext", planted, code=2)
    assert str(key) in result.stderr
    assert len(result.stderr.splitlines()) == 1


# --- revealing


def audit_lines(home: Path) -> list[dict[str, Any]]:
    path = home / ".local" / "state" / "spanline" / "revealed.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_pipe_is_shown_nothing(planted: Path, home: Path) -> None:
    result = run("plaintext", "--reveal", planted, code=2)
    assert "--reveal-anyway" in result.stderr
    assert "opensesame" not in result.output
    assert audit_lines(home) == []


def test_a_pipe_is_shown_secrets_anyway(planted: Path, home: Path) -> None:
    (row,) = json.loads(run("plaintext", "--reveal-anyway", "--format", "json", planted).stdout)
    assert row["secret"] == "opensesame"


def test_a_file_is_for_the_user_alone(planted: Path, tmp_path: Path) -> None:
    target = tmp_path / "findings.csv"
    target.touch(0o644)
    run("plaintext", "--reveal", planted, "-o", target)
    assert "opensesame" in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_revealing_is_written_down(planted: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who, when, of what and how much; not what options say, which may be a secret."""
    monkeypatch.setenv("SUDO_USER", "carol")
    run("plaintext", "--reveal-anyway", "-Y", 'tcp contains "opensesame" or tcp', planted)
    (line,) = audit_lines(home)
    assert line | {"time": "", "host": ""} == {
        "time": "",
        "uid": os.getuid(),
        "login": line["login"],
        "sudo_user": "carol",
        "host": "",
        "command": line["command"],
        "options": ["--reveal-anyway", "--display-filter"],
        "captures": [str(planted)],
        "revealed": 1,
    }
    assert line["command"].endswith("plaintext")
    path = home / ".local" / "state" / "spanline" / "revealed.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    run("plaintext", "--reveal-anyway", planted)
    assert len(audit_lines(home)) == 2


@pytest.mark.parametrize("obstacle", ["folder", "readable", "link", "nowhere"])
def test_what_cannot_be_written_down_is_not_revealed(
    planted: Path, home: Path, obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("plaintext", planted)
    log = state_folder() / "revealed.jsonl"
    if obstacle == "folder":
        log.mkdir()
    elif obstacle == "readable":
        log.touch(0o644)
        log.chmod(0o644)
    elif obstacle == "link":
        log.symlink_to(home / "elsewhere")
    else:
        monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    result = run("plaintext", "--reveal-anyway", planted, code=2)
    assert "cannot be logged" in result.stderr
    assert "opensesame" not in result.output


def test_the_log_is_whole_when_the_disk_is_full(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog()
    monkeypatch.setattr(os, "write", lambda descriptor, octets: len(octets) - 1)
    with pytest.raises(UsageError, match="cannot be logged"):
        log.record("spanline plaintext", [], [], 1)


def test_no_core_is_left(planted: Path) -> None:
    """The process that saw secrets may not be looked into, whatever the limits that it began with."""
    program = (
        "import sys; from tests.commands import run; run('plaintext', sys.argv[1]); import resource, ctypes; "
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3))"
    )
    done = subprocess.run([PROGRAM[0], "-c", program, planted], capture_output=True, check=True, text=True)
    assert done.stdout.split("\n")[-2] == "(0, 0) 0"


# --- nothing else shows them


def needles(secret: bytes) -> Iterator[bytes]:
    """As it is, and as base64 at any place, in hexadecimal digits, and as in a URL."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield quote_from_bytes(secret, "").encode()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + secret)
        # Without the digits that depend on what stands before and behind.
        yield whole[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]


def shown(secrets: Iterable[bytes], octets: bytes) -> set[bytes]:
    """Which of the secrets, of eight bytes or more, are in there in any form."""
    by_beginning: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for secret in secrets:
        for needle in needles(secret):
            by_beginning.setdefault(needle[:8], []).append((needle, secret))
    beginnings = np.frombuffer(b"".join(by_beginning), np.uint64)
    found = set()
    for first in range(8):
        words = np.frombuffer(octets, np.uint64, max(0, len(octets) - first) // 8, min(first, len(octets)))
        for at in (8 * np.flatnonzero(np.isin(words, beginnings)) + first).tolist():
            rest = by_beginning[octets[at : at + 8]]
            found.update(secret for needle, secret in rest if octets.startswith(needle, at))
    return found


def a_thousand(path: Path) -> list[bytes]:
    """Secrets, each of another login, over all protocols in turn."""
    chance = random.Random(7)
    letters = string.ascii_letters + string.digits + "!$*-_."
    secrets, some = [], []
    for n in range(COUNT):
        login = LOGINS[sorted(LOGINS)[n % len(LOGINS)]]
        secret = "".join(chance.choices(letters, k=16)).encode()
        where: dict[str, Any] = {"client_port": 10000 + n, "start": START + n * 10**7, "vni": chance.choice([None, 9])}
        some.append(conversation(login.dialogue(b"user%d" % n, secret), login.port, login.transport, **where))
        secrets.append(secret)
    path.write_bytes(pcap(together(some), nanoseconds=True))
    return secrets


COMMANDS = (
    ("plaintext",),
    ("plaintext", "-n", "0"),
    ("plaintext", "--format", "json"),
    ("plaintext", "--format", "csv"),
    ("plaintext", "--format", "parquet"),
    ("plaintext", "-o", "findings.parquet"),
    ("plaintext", "-o", "findings.csv"),
    ("plaintext", "-o", "findings.json"),
    ("crunch", "-o", "flows.parquet", "--plaintext", "beside.parquet"),
    ("crunch", "-o", "flows.csv", "--plaintext", "beside.csv"),
    ("flows", "-n", "0"),
    ("flows", "--format", "json"),
    ("rtt",),
    ("stats", "hierarchy,destinations,hosts,conversations,endpoints,io,verdicts"),
    ("packets",),
    ("packets", "--format", "json"),
    ("info",),
    ("follow", "--telnet"),
    ("follow", "--telnet", "-o", "sessions.json"),
)


def said(result: Result, folder: Path) -> bytes:
    """What a command said; of Parquet what it says, and not how it is packed."""
    if result.stdout_bytes.startswith(b"PAR1"):
        (folder / "stdout.parquet").write_bytes(result.stdout_bytes)
    return result.stdout_bytes + b"\0" + result.stderr_bytes


def kept(*folders: Path) -> bytes:
    """What stands in all files there."""
    octets = []
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        octets += [str(path).encode(), path.read_bytes()]
        if path.suffix == ".parquet":
            octets.append(repr(read_table(path).to_pydict()).encode())
    return b"\0".join(octets)


def test_a_thousand_secrets_are_nowhere(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, outputs = tmp_path / "planted.pcap", tmp_path / "outputs"
    outputs.mkdir()
    monkeypatch.chdir(outputs)
    secrets = a_thousand(path)
    assert shown(secrets, path.read_bytes()) >= set(secrets[:10])  # that looking for them finds them
    leaks: dict[tuple[str, ...], set[bytes]] = {}
    for command in COMMANDS:
        result = run(*command, path, width=80)
        leaks[command] = shown(secrets, said(result, outputs))
    leaks["files",] = shown(secrets, kept(outputs, home))
    assert {command: leaked for command, leaked in leaks.items() if leaked} == {}
    told = {row["account"] for row in json.loads((outputs / "findings.json").read_text())}
    assert len(told) > COUNT * 3 // 4  # some protocols have no accounts


def test_followed_streams_leave_secrets_out(tmp_path: Path, home: Path) -> None:
    """A conversation of each protocol as text and as digits, and all sessions of telnet."""
    path = tmp_path / "planted.pcap"
    secrets = {name: f"S3cret-of-{n:04}".encode() for n, name in enumerate(LOGINS)}
    some = [
        conversation(LOGINS[name].dialogue(b"alice", secret), LOGINS[name].port, LOGINS[name].transport, client_port=n)
        for n, (name, secret) in enumerate(secrets.items(), 20000)
    ]
    path.write_bytes(pcap(together(some)))
    leaks = {}
    for n, name in enumerate(LOGINS, 20000):
        stream = f"10.0.0.5:{n},10.0.1.2:{LOGINS[name].port}"
        for options in (("--as", "text"), ("--as", "raw"), ("--as-tshark", "--as", "raw"), ("--format", "json")):
            result = run("follow", "--stream", stream, *options, path)
            leaks[name, options] = shown(secrets.values(), said(result, home))
    leaks["telnet", ("--telnet",)] = shown(secrets.values(), said(run("follow", "--telnet", path), home))
    assert {command: leaked for command, leaked in leaks.items() if leaked} == {}


def test_a_thousand_secrets_are_revealed(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "planted.pcap"
    secrets = a_thousand(path)
    rows = json.loads(run("plaintext", "--reveal-anyway", "--format", "json", path).stdout)
    assert {row["secret"].encode() for row in rows if row["secret"]} >= set(secrets)
    assert audit_lines(home)[0]["revealed"] >= COUNT


class Careless(Parser):
    """Raises with what it reads."""

    def feed(self, piece: Piece) -> list[Finding]:
        raise ValueError(piece.data.decode())

    def finish(self) -> list[Finding]:
        raise RuntimeError(repr(self))


def test_a_parser_that_raises_is_named_without_what_it_read(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    careless = (Protocol("ftp", "FTP", Careless),)
    stage = Plaintext(Redactor(bytes(32)), protocols=careless)
    for _ in spanline.open(planted).run(stage):
        pass
    assert stage.tables()["findings"].num_rows == 0
    (problem,) = stage.problems
    assert str(problem).startswith("test_redaction.py, line ")
    assert "ValueError in 1 ftp conversation, which was given up" in str(problem)

    monkeypatch.setattr(http.HttpParser, "feed", Careless.feed)
    path = planted.with_name("http.pcap")
    path.write_bytes(pcap(conversation(LOGINS["http"].dialogue(b"alice", b"opensesame"), 80)))
    result = run("plaintext", path, code=2)
    assert "ValueError in 1 http conversation" in result.stderr
    assert shown([b"opensesame"], said(result, planted.parent)) == set()


def test_neither_a_secret_nor_a_piece_shows_what_it_holds() -> None:
    piece = Piece(next(iter(LOGINS["ftp"].dialogue(b"a", b"b")))[0], b"opensesame", 0, 0, 1)
    told = f"{Secret(b'opensesame')} {Secret(b'opensesame')!r} {[Secret(b'opensesame')]} {piece}"
    assert "opensesame" not in told
    assert Revealer().text(Secret(b"opensesame")) == "opensesame"
