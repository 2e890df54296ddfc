"""Plaintext by the whole stage and on the command line.

Truth: logins that were planted by the specifications of their protocols (tests.planted), and for how the work is
divided the same capture in one piece.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spanline
from spanline import _decode, _payloads
from spanline.batch import Batch
from spanline.plaintext.redaction import Redactor, Revealer
from spanline.plaintext.rules import WatchedRules
from spanline.sources import capture_file
from spanline.stages.plaintext import LEAST_MEMORY, Plaintext
from tests.commands import run
from tests.craft import ethernet, icmp, ipv4
from tests.craft_conversations import conversation, together
from tests.craft_files import START, Record, pcap
from tests.pieces import CLIENT, SERVER, Dialogue
from tests.planted import LOGINS

pytestmark = pytest.mark.usefixtures("state")

REDACTOR = Redactor(bytes(32))
SECOND = 10**9


def written(folder: Path, *conversations: Sequence[Record]) -> Path:
    path = folder / "planted.pcap"
    path.write_bytes(pcap(together(conversations), nanoseconds=True))
    return path


def planted(name: str, account: str = "alice", secret: str = "opensesame", **where: Any) -> list[Record]:
    login = LOGINS[name]
    return conversation(login.dialogue(account.encode(), secret.encode()), where.pop("port", login.port),
                        login.transport, **where)  # fmt: skip


def found_in(path: Path, **options: Any) -> list[dict[str, Any]]:
    stage = Plaintext(Revealer(), **options)
    for _ in spanline.open(path).run(stage):
        pass
    assert stage.problems == []
    rows: list[dict[str, Any]] = stage.tables()["findings"].to_pylist()
    return rows


@pytest.mark.parametrize("name", LOGINS)
def test_every_protocol_on_its_port(tmp_path: Path, name: str) -> None:
    rows = [row for row in found_in(written(tmp_path, planted(name))) if row["secret"] is not None]
    protocol = name.partition(" ")[0]
    assert [(row["protocol"], row["secret"], row["foreign_port"]) for row in rows] == [(protocol, "opensesame", False)]
    assert (rows[0]["client_port"], rows[0]["server_port"]) == (50000, LOGINS[name].port)


FOREIGN = ("ftp", "pop", "imap", "smtp", "http", "http form", "rtsp", "xmpp", "telnet", "resp", "ldap", "pgsql",
           "mysql", "mqtt", "amqp")  # fmt: skip


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("name", FOREIGN)
def test_on_a_foreign_port(tmp_path: Path, name: str, whole: bool) -> None:
    """Without a handshake, too: then the protocol tells who is the client."""
    rows = found_in(written(tmp_path, planted(name, port=2323, whole=whole)))
    told = [(row["account"], row["secret"], row["foreign_port"], row["server_port"]) for row in rows if row["secret"]]
    assert told == [("alice", "opensesame", True, 2323)]


ONE_SIDED = ("ftp", "pop", "imap", "smtp", "smtp login", "nntp", "irc", "resp", "http", "http form", "http query",
             "rtsp", "xmpp", "telnet", "ldap", "snmp", "pgsql", "mqtt", "amqp", "socks", "tds")  # fmt: skip


@pytest.mark.parametrize("name", ONE_SIDED)
def test_only_the_client_is_mirrored(tmp_path: Path, name: str) -> None:
    """As a VTAP does that takes ingress only: the secret is told all the same, and the outcome is nobody's to know."""
    frames = [record for record in planted(name, vni=9) if b"\x0a\x00\x00\x05\x0a\x00\x01\x02" in record.frame]
    rows = [row for row in found_in(written(tmp_path, frames)) if row["secret"]]
    assert [(row["secret"], row["outcome"], row["vni"]) for row in rows] == [("opensesame", "unknown", 9)]
    if name == "telnet":
        assert (rows[0]["account"], rows[0]["inferred"]) == ("alice", True)


def test_what_icmp_errors_quote_is_no_traffic(tmp_path: Path) -> None:
    """A VXLAN target without a listener sends every frame back inside one."""
    frames = planted("telnet", vni=9)
    errors = [
        Record(
            record.time + 1000,
            bytes(ethernet() / ipv4("192.0.2.2", "192.0.2.1") / icmp(3, 3, bytes(4)) / record.frame[14:]),
        )
        for record in frames
    ]
    alone = found_in(written(tmp_path, frames))
    assert [row["secret"] for row in alone] == ["opensesame"]
    both = found_in(written(tmp_path, frames, errors))
    assert [row["secret"] for row in both] == ["opensesame"]
    assert found_in(written(tmp_path, errors)) == []


def test_more_conversations_than_are_followed_at_a_time(tmp_path: Path) -> None:
    """Those that were silent for longest go, with what they have told so far, and are counted."""
    login = LOGINS["pop"].dialogue(b"alice", b"opensesame")[:-1]
    some = [conversation(login, 110, client_port=20000 + n, start=START + n * SECOND, whole=False) for n in range(900)]
    stage = Plaintext(REDACTOR, memory=LEAST_MEMORY)
    for _ in spanline.open(written(tmp_path, *some)).run(stage):
        pass
    assert stage.tables()["findings"].num_rows == 900
    assert stage.evicted > 0


def test_equal_addresses_in_two_tunnels_are_two_conversations(tmp_path: Path) -> None:
    path = written(tmp_path, planted("ftp", secret="one", vni=1), planted("ftp", secret="two", vni=2))
    assert [(row["vni"], row["secret"]) for row in found_in(path)] == [(1, "one"), (2, "two")]


ENCRYPTED: dict[str, Dialogue] = {
    "TLS": [(CLIENT, b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03" + bytes(40)), (SERVER, b"\x16\x03\x03\x00\x05")],
    "SSH": [(SERVER, b"SSH-2.0-OpenSSH_9.2\r\n"), (CLIENT, b"SSH-2.0-OpenSSH_9.2\r\n")],
}


def test_rules_that_change_count_from_then_on(tmp_path: Path) -> None:
    """A file that becomes wrong changes nothing, and is told once."""
    now = [0.0]
    rules = tmp_path / "rules.yaml"

    def said(word: bytes, start: int) -> None:
        """A conversation in which a client says `word`, seconds after the one before."""
        now[0] += 1
        frames = conversation([(CLIENT, word)], 4711, client_port=start, start=START + start * SECOND)
        for batch in spanline.open(written(tmp_path, frames)):
            for _ in range(2):  # what has changed is noticed, and is read in a thread
                stage._renew_rules(batch)
                if watched._reader is not None:
                    watched._reader.join()
            stage.update(batch)

    rules.write_text("- {name: first, pattern: cat, message: m}")
    watched = WatchedRules([str(rules)], lambda: now[0])
    stage = Plaintext(REDACTOR, rules=watched)
    said(b"a cat", 10)
    rules.write_text("- {name: second, pattern: mouse, message: m}")
    said(b"a cat and a mouse", 20)
    rules.write_text("- {name: third, pattern: (, message: m}")
    said(b"another mouse", 30)
    found = stage.tables()["findings"].to_pylist()
    assert [row["scheme"] for row in found] == ["first", "second", "second"]
    (problem,) = stage.problems
    assert "rules.yaml" in str(problem)
    assert "stay as they were" in str(problem)


@pytest.mark.parametrize("port", [21, 23, 80, 110, 143, 389, 5432, 3306])
@pytest.mark.parametrize("name", ENCRYPTED)
def test_what_is_encrypted_is_left_alone_on_any_port(tmp_path: Path, name: str, port: int) -> None:
    stage = Plaintext(REDACTOR)
    for _ in spanline.open(written(tmp_path, conversation(ENCRYPTED[name], port))).run(stage):
        pass
    assert stage.tables()["findings"].num_rows == 0
    assert stage.followed == 0


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", True),  # RFC 8446 section 5.1: a ClientHello in a record
        (b"\x16\x03\x03\x00\x7a\x02\x00", True),  # a ServerHello
        (b"\x17\x03\x03\x00\x7a\x99\x99", True),  # application data: the capture begins in the middle
        (b"\x16\x03\x03\x00\x7a\x30\x00", False),
        (b"SSH-2.0-x", True),  # RFC 4253 section 4.2
        (b"\xc3\x00\x00\x00\x01\x08\x00", True),  # RFC 9000 section 17.2: an Initial packet
        (b"\xff\xfd\x18\xff\xfd\x20", False),  # telnet's options
        (b"GET / HTTP/1.1", False),
        (b"SSH-2", False),
        (b"", False),
    ],
)
def test_beginnings_of_what_is_encrypted(tmp_path: Path, beginning: bytes, expected: bool) -> None:
    """Truth: the bytes of the specifications; from either side, and by UDP, too."""
    for sender, transport in ((CLIENT, "tcp"), (SERVER, "tcp"), (CLIENT, "udp")):
        frames = conversation([(sender, beginning or b"?")], 4711, transport=transport)
        payloads = _payloads.Payloads(seed=_decode.SEED, skip_silent=True)
        for batch in spanline.open(written(tmp_path, frames)):
            payloads.update(batch.packets.view(np.uint8), batch.numbers, batch.buffers)
        payloads.finish()
        assert (len(payloads.heads()[0]) == 0) == expected


@pytest.mark.parametrize(
    ("port", "transport", "sent", "is_passed_over"),
    [
        (53, "udp", "1a2b 0100 0001 0000 0000 0000 01 61 00 0001 0001", True),
        (53, "udp", "1a2b 8180 0001 0001 0000 0000 01 61 00 0001 0001", True),
        (5353, "udp", "1a2b 0100 0001 0000 0000 0000 01 61 00 0001 0001", False),
        (53, "tcp", "1a2b 0100 0001 0000 0000 0000 01 61 00 0001 0001", False),
        (53, "udp", "1a2b 2800 0001 0000 0000 0000 01 61 00 0001 0001", False),
        (53, "udp", "1a2b 0100 0001 0001 0000 0000 01 61 00 0001 0001", False),
        (53, "udp", "1a2b 0100 0001 0000 0000 0000", False),
    ],
    ids=["question", "answer", "another port", "TCP", "update", "question with an answer", "no name"],
)
def test_names_that_are_asked_for_are_passed_over(
    tmp_path: Path, port: int, transport: str, sent: str, is_passed_over: bool
) -> None:
    """Headers as in RFC 1035 section 4.1.1."""
    payloads = _payloads.Payloads(seed=_decode.SEED, skip_silent=True)
    frames = conversation([(CLIENT, bytes.fromhex(sent))], port, transport=transport)
    for batch in spanline.open(written(tmp_path, frames)):
        payloads.update(batch.packets.view(np.uint8), batch.numbers, batch.buffers)
    payloads.finish()
    assert (len(payloads.heads()[0]) == 0) == is_passed_over


def test_another_protocol_on_a_port_is_known_by_what_it_says(tmp_path: Path) -> None:
    (row,) = found_in(written(tmp_path, planted("http", port=23)))
    assert (row["protocol"], row["foreign_port"], row["secret"]) == ("http", True, "opensesame")


def test_a_conversation_beyond_its_limit_is_counted(tmp_path: Path) -> None:
    page = [(CLIENT, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (SERVER, b"HTTP/1.1 200 OK\r\n\r\n")]
    path = written(tmp_path, conversation([*page, *[(SERVER, bytes(1400))] * 20], 80))
    stage = Plaintext(REDACTOR, claimed_bytes=8192)
    for _ in spanline.open(path).run(stage):
        pass
    stage.tables()
    assert (stage.followed, stage.cut, stage.evicted) == (1, 1, 0)


# --- how the work is divided


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three logins of each kind at the same time, some in tunnels, with pages that nobody logs in to between them."""
    chance = random.Random(1)
    pages = LOGINS["http"].dialogue(b"", b"")[1:]
    some = []
    for n, name in enumerate(sorted(LOGINS) * 3):
        where = {
            "client_port": 20000 + n,
            "start": START + chance.randrange(SECOND),
            "vni": chance.choice([None, 7, 8]),
        }
        some.append(planted(name, f"user{n}", f"secret-{n}", **where))
    for n in range(20):
        get = (CLIENT, b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n)
        late = LOGINS["http form"].dialogue(b"late", b"secret-late%d" % n)
        some.append(conversation([get, *pages] * 3 + late, 80, client_port=40000 + n, start=START + n * SECOND // 20))
    return written(tmp_path_factory.mktemp("mixed"), *some)


def batches(path: Path, chunk: int | None = None, threads: int = 1) -> Iterator[Batch]:
    with pytest.MonkeyPatch.context() as patch:
        if chunk is not None:
            patch.setattr(capture_file, "CHUNK_BYTES", chunk)
        yield from spanline.open(path, threads=threads)


def in_one(path: Path) -> pa.Table:
    stage = Plaintext(REDACTOR)
    for batch in batches(path):
        stage.update(batch)
    return stage.tables()["findings"]


def test_all_that_was_planted_is_there(mixed: Path) -> None:
    secrets = {row["secret"] for row in found_in(mixed)}
    assert secrets >= {f"secret-{n}" for n in range(3 * len(LOGINS))} | {f"secret-late{n}" for n in range(20)}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(chunk=st.integers(64, 1 << 16), shards=st.sampled_from([1, 2, 5]), at=st.floats(0, 1), drains=st.booleans())
def test_dividing_changes_nothing(mixed: Path, chunk: int, shards: int, at: float, drains: bool) -> None:
    """Chunks of any size, several shards merged at the end, and state taken at any frame and restored."""
    expected = in_one(mixed)
    frames = sum(len(batch) for batch in batches(mixed))
    stages = [Plaintext(REDACTOR, shard=(n, shards)) for n in range(shards)]
    seen, drained, cut = 0, [], int(frames * at)
    for batch in batches(mixed, chunk):
        first = np.arange(len(batch)) < cut - seen
        parts = [batch.select(first), batch.select(~first)] if seen <= cut < seen + len(batch) else [batch]
        for n, part in enumerate(parts):
            if n:
                stages = [continued(stage, (k, shards)) for k, stage in enumerate(stages)]
            for stage in stages:
                stage.update(part)
        if drains:
            drained += [stage.drain()["findings"] for stage in stages]
        seen += len(batch)
    whole, *others = stages
    for other in others:
        whole.merge(other)
    got = pa.concat_tables([*drained, whole.tables()["findings"]])
    keys = [(name, "ascending") for name in ("time", "client_port", "server_port", "scheme")]
    assert got.sort_by(keys).to_pylist() == expected.sort_by(keys).to_pylist()


def continued(stage: Plaintext, shard: tuple[int, int]) -> Plaintext:
    later = Plaintext(REDACTOR, shard=shard)
    later.restore(stage.state())
    return later


def test_a_merged_stage_goes_on_with_all_conversations(mixed: Path) -> None:
    expected, all_batches = in_one(mixed), list(batches(mixed, 1 << 14))
    stages = [Plaintext(REDACTOR, shard=(n, 3)) for n in range(3)]
    half = len(all_batches) // 2
    assert half
    for batch in batches(mixed, 1 << 14):
        for stage in stages:
            stage.update(batch)
        half -= 1
        if half == 0:
            for other in stages[1:]:
                stages[0].merge(other)
            del stages[1:]
    assert stages[0].tables()["findings"] == expected


def test_threads_change_nothing(mixed: Path) -> None:
    stage = Plaintext(REDACTOR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture_file, "CHUNK_BYTES", 4096)
        for _ in spanline.open(mixed, threads=4).run(stage):
            pass
    assert stage.tables()["findings"] == in_one(mixed)


# --- the command line


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return written(
        tmp_path,
        planted("ftp", vni=42),
        planted("http", start=START + SECOND, port=8081, client="2001:db8::5", server="2001:db8::2"),
    )


def test_a_line_of_a_table_has_it_all(one: Path) -> None:
    lines = run("plaintext", one).stdout.splitlines()
    assert "ftp" in lines[2]
    for text in ("10.0.0.5", "10.0.1.2:21", "42", "alice", "10 characters, hmac ", "accepted", "USER and PASS"):
        assert text in lines[2]
    assert "http*" in lines[3]
    assert "[2001:db8::2]:8081" in lines[3]


def test_the_table_fits_80_columns(one: Path) -> None:
    text = run("plaintext", one, width=80).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "alice: 10 characters, hmac " in text
    assert "What to do" in text


def test_json(one: Path) -> None:
    ftp, http = json.loads(run("plaintext", "--format", "json", one).stdout)
    assert (ftp["protocol"], ftp["account"], ftp["vni"], ftp["outcome"]) == ("ftp", "alice", 42, "accepted")
    assert ftp["community_id"].startswith("1:")
    assert ftp["frames"] == [5, 7, 8]
    assert (http["client"], http["foreign_port"], http["kind"]) == ("2001:db8::5", True, "credential")


def test_csv(one: Path) -> None:
    ftp, _ = csv.DictReader(io.StringIO(run("plaintext", "--format", "csv", one).stdout))
    assert (ftp["account"], ftp["frames"], ftp["client"]) == ("alice", "5 7 8", "10.0.0.5")


def test_parquet(one: Path, tmp_path: Path) -> None:
    from pyarrow.parquet import read_table

    target = tmp_path / "findings.parquet"
    run("plaintext", one, "-o", target)
    assert read_table(target).column("protocol").to_pylist() == ["ftp", "http"]


def test_crunch_writes_findings_beside_flows(one: Path, tmp_path: Path) -> None:
    flows, findings = tmp_path / "flows.csv", tmp_path / "findings.json"
    run("crunch", one, "-o", flows, "--plaintext", findings)
    assert len(flows.read_text().splitlines()) == 3
    assert [row["protocol"] for row in json.loads(findings.read_text())] == ["ftp", "http"]


@pytest.mark.parametrize("target", ["flows.csv", "-"])
def test_crunch_needs_a_file_of_its_own_for_findings(one: Path, tmp_path: Path, target: str) -> None:
    path = target if target == "-" else tmp_path / target
    result = run("crunch", one, "-o", tmp_path / "flows.csv", "--plaintext", path, code=2)
    assert "--plaintext" in result.stderr


def test_nothing_in_the_clear(capture: Path) -> None:
    result = run("plaintext", capture)
    assert result.stdout == "nothing in the clear was found\n"
    assert "followed 0 conversations" in result.stderr


def test_what_the_table_leaves_out_is_told(one: Path) -> None:
    assert "1 of 2 findings; -n 0 shows all" in run("plaintext", one, "-n", "1").stdout


def test_control_characters_never_reach_the_terminal(tmp_path: Path) -> None:
    path = written(tmp_path, planted("ftp", account="al\x1b[31mice‮"))
    text = run("plaintext", path, width=80).stdout
    assert "al\\x1b[31mice\\u202e" in text
    assert "\x1b" not in text


def test_a_rule_of_the_user(tmp_path: Path) -> None:
    """What it matched is as secret as any; frames and the place in the stream are those of the match."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("- name: project word\n  pattern: 'xyzzy-\\d+'\n  message: the word is out\n  severity: low\n")
    dialogue = [(CLIENT, b"hello"), (SERVER, b"hello"), (CLIENT, b"say xyzzy-"), (CLIENT, b"42 now")]
    path = written(tmp_path, conversation(dialogue, 9999))
    (row,) = json.loads(run("plaintext", "--rules", rules, "--format", "json", path).stdout)
    assert (row["kind"], row["scheme"], row["detail"], row["protocol"]) == (
        "rule",
        "project word",
        "the word is out",
        None,
    )
    assert row["frames"] == [6, 7]
    assert row["secret"].startswith("8 characters, hmac ")


@pytest.mark.parametrize(
    "options", [("--memory", "1M"), ("--head-bytes", "2M"), ("--claimed-bytes", "8G"), ("--rules", "/nonexistent.yaml")]
)
def test_what_makes_no_sense_is_one_line(one: Path, options: tuple[str, str]) -> None:
    result = run("plaintext", *options, one, code=2)
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1


def test_little_memory_is_enough_for_crunch(one: Path, tmp_path: Path) -> None:
    run("crunch", "--memory", "200M", one, "-o", tmp_path / "flows.csv", "--plaintext", tmp_path / "findings.csv")


def test_a_wrong_rule_is_one_line(one: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("- name: bad\n  pattern: '('\n  message: never\n")
    result = run("plaintext", "--rules", rules, one, code=2)
    assert "rules.yaml" in result.stderr
    assert "Traceback" not in result.output
