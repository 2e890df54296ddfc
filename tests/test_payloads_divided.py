"""Payload in order, however the work is divided and whatever memory there is; and on real captures.

Oracles: for divided work the same in one piece; the number of conversations and bytes that went in; tshark's "follow
stream" on the same captures.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spanline
from spanline._decode import SEED
from spanline._payloads import LEAST_MEMORY, Payloads
from spanline.batch import Batch, Decode
from spanline.chunk import Chunk
from spanline.errors import CaptureError
from tests.craft import Frame
from tests.craft_files import START, Record
from tests.payload_listener import Head, Listener, cut, datagram, handshake, joined, listen, segment
from tests.rows import chunk_of, decode_all
from tests.test_every_capture import files_of

MS = 1_000_000


# --- memory


def many(frame: Frame, count: int, at_once: int = 20000) -> Iterable[Batch]:
    """Batches of `count` frames like this one, each with a source address of its own."""
    decode = Decode()
    octets = np.frombuffer(bytes(frame), np.uint8)
    for start in range(0, count, at_once):
        number = np.arange(start, min(start + at_once, count))
        frames = np.repeat(octets[None, :], len(number), axis=0)
        frames[:, 26:30] = number.astype(">u4").view(np.uint8).reshape(-1, 4)
        chunk = chunk_of([frame])
        rows = np.repeat(chunk.records, len(number))
        rows["offset"] = np.arange(len(number)) * len(octets)
        rows["timestamp"] += number * 1000
        yield decode(Chunk(frames.ravel(), rows, chunk.interfaces))


def flood(listener: Listener, frame: Frame, count: int, at_once: int = 20000) -> None:
    for batch in many(frame, count, at_once):
        listener.hear(batch)
        assert listener.payloads.memory <= MEMORY


MEMORY = 64 << 20


def test_a_million_half_open_connections_take_no_memory() -> None:
    listener = Listener(memory=MEMORY)
    flood(listener, segment(0, -1, flags="S"), 1_000_000)
    counters = listener.payloads.counters
    assert (counters.packets, counters.conversations, listener.payloads.live) == (1_000_000, 0, 0)
    assert listener.payloads.memory < 8 << 20


def test_a_million_conversations_of_one_packet_stay_in_memory() -> None:
    """All of them are looked at once, whether they were given up or not."""
    payloads = Payloads(MEMORY, seed=SEED)
    seen = np.zeros(1_000_001, np.uint8)

    def look() -> int:
        heads, octets = payloads.heads()
        np.add.at(seen, heads["serial"], 1)
        assert bytes(octets) == b"user" * len(heads)
        return len(heads)

    for batch in many(segment(0, 0, b"user"), 1_000_000):
        payloads.update(batch.packets.view(np.uint8), batch.numbers, batch.buffers)
        look()
        assert payloads.memory <= MEMORY
    payloads.finish()
    while look():
        pass
    assert payloads.counters.conversations == 1_000_000
    assert payloads.counters.refused == 0
    assert payloads.counters.evicted > 500_000
    assert seen[1:].tolist() == [1] * 1_000_000


def test_conversations_that_fill_memory_are_looked_at_before_they_are_given_up() -> None:
    listener = Listener(memory=MEMORY, claim=False)
    flood(listener, segment(0, 0, b"u" * 1000), 100_000, 5000)
    listener.finish()
    assert listener.payloads.counters.refused == 0
    assert listener.payloads.counters.missing == 0
    assert len(listener.heads) == 100_000
    assert {heads[0].octets for heads in listener.heads.values()} == {b"u" * 1000}


def test_without_any_memory_left_bytes_are_missing_and_nothing_else_happens() -> None:
    """A batch that brings more than there is memory for: what does not fit is counted."""
    listener = Listener(memory=LEAST_MEMORY, claim=False)
    (batch,) = many(segment(0, 0, b"u" * 1000), 20000, 20000)
    listener.hear(batch)
    listener.finish()
    counters = listener.payloads.counters
    found = sum(len(head.octets) for heads in listener.heads.values() for head in heads)
    assert found + counters.missing + 1000 * counters.refused == 20000 * 1000
    assert listener.payloads.kept == 0


@pytest.mark.parametrize("options", [{"memory": 100}, {"seed": b""}, {"head_bytes": 0}, {"claimed_bytes": 1}])
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"bytes|head"):
        Payloads(**{"seed": SEED, **options})


# --- division


OPTIONS: dict[str, Any] = {"head_bytes": 64, "claimed_bytes": 300}


def mixture(seed: int) -> list[Record]:
    """Conversations side by side: in order and not, cut, repeated, ended, begun again, with datagrams between."""
    chance = np.random.default_rng(seed)
    frames: list[Frame] = []
    for port in (40000, 40001, 40002, 40003):
        octets = chance.bytes(400)
        bases = (int(chance.integers(2**32)), int(chance.integers(2**32)))
        told: list[Frame] = handshake(port=port, bases=bases) if chance.random() < 0.7 else []
        for way in (0, 1):
            at = 0
            while at < len(octets):
                size = int(chance.integers(1, 40))
                if chance.random() < 0.95:
                    told.append(segment(way, at, octets[at : at + size], ack=at, port=port, bases=bases))
                at += size - int(chance.integers(0, 3))
        last = ["FA", "RA", "A"][int(chance.integers(3))]
        told.append(segment(0, len(octets), flags=last, port=port, bases=bases))
        swaps = chance.integers(0, len(told) - 3, 30)
        for n in swaps.tolist():
            told[n], told[n + 2] = told[n + 2], told[n]
        frames += told
        frames += handshake(port=port, bases=(7, 8)) if chance.random() < 0.5 else []
    frames += [datagram(n % 2, chance.bytes(30)) for n in range(20)]
    order = np.argsort(np.arange(len(frames)) + chance.integers(0, 60, len(frames)))
    return [Record(START + n * 20 * MS, frames[at]) for n, at in enumerate(order.tolist())]


def heard(batches: Iterable[Batch], *, restored: bool, claim: bool) -> Listener:
    listener = Listener(claim=claim, **OPTIONS)
    for batch in batches:
        if restored:
            later = Payloads(seed=SEED, **OPTIONS)
            later.restore(listener.payloads.state())
            listener.payloads = later
        listener.hear(batch)
    listener.finish()
    return listener


def last_head(heads: Iterable[Head], sender: int) -> bytes:
    return max((head.octets for head in heads if head.sender == sender), key=len, default=b"")


def told(listener: Listener) -> Any:
    """What must not depend on division: last heads, and pieces joined as far as they can be. That what came again
    differs is only seen as long as the first copy is kept."""
    heads = {serial: [last_head(heads, way) for way in (0, 1)] for serial, heads in listener.heads.items()}
    pieces = {}
    for serial, said in listener.pieces.items():
        told = [piece._replace(octets=b"", flags=piece.flags.replace(" conflict", "")) for piece in said]
        pieces[serial] = [piece for piece in told if piece.gap or piece.flags.replace("conflict", "")]
        pieces[serial] += [(way, joined(said, way)) for way in (0, 1)]
    return heads, pieces


@pytest.mark.parametrize("claim", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_dividing_changes_nothing(seed: int, claim: bool) -> None:
    """One batch, one packet at a time, and each of these with another table going on from the state before it."""
    batch = decode_all(mixture(seed))
    single = [batch.select(np.arange(len(batch)) == n) for n in range(len(batch))]
    expected = heard([batch], restored=False, claim=claim)
    for batches, restored in (([batch], True), (single, False), (single, True), (cut(batch, len(batch) // 3), True)):
        got = heard(batches, restored=restored, claim=claim)
        assert got.payloads.counters[:3] == expected.payloads.counters[:3]
        assert told(got)[claim] == told(expected)[claim]


@pytest.mark.parametrize("folder", ["plaintext", "tcp", "tunnels", "malformed"])
def test_dividing_real_captures(captures: Path, folder: str) -> None:
    """At a place drawn by its name, with another table going on from the state there. Differences are told by file."""
    wrong = []
    for path in files_of(captures / folder):
        if path.stat().st_size > 1 << 20:
            continue
        try:
            batches = list(spanline.open(path))
        except CaptureError:
            continue
        first = batches[0] if batches else None
        if first is None:
            continue
        at = random.Random(path.name).randrange(len(first) + 1)
        for claim in (True, False):
            expected = told(heard(batches, restored=False, claim=claim))
            got = told(heard([*cut(first, at), *batches[1:]], restored=True, claim=claim))
            if got[claim] != expected[claim]:
                wrong.append(path.name)
    assert wrong == []


@pytest.mark.parametrize("seed", range(4))
def test_shards_share_the_conversations(seed: int) -> None:
    batch = decode_all(mixture(seed))
    whole = heard([batch], restored=False, claim=True)
    found = []
    for n in range(3):
        listener = Listener(**OPTIONS, shard=(n, 3))
        listener.hear(batch)
        listener.finish()
        found += list(listener.streams().values())
    assert sorted(found) == sorted(whole.streams().values())


def test_a_conversation_is_claimed_after_one_side_was_forgotten() -> None:
    """Behind its head bytes of that side are missing; what it says then is kept up to the limit."""
    payloads = Payloads(seed=SEED, **OPTIONS)
    said = []
    for claim, way, at, size in ((False, 0, 0, 200), (True, 1, 0, 64), (True, 0, 200, 250), (True, 1, 64, 1)):
        batch = decode_all([segment(way, at, bytes(range(at, at + size)) if at + size < 256 else b"x" * size)])
        payloads.update(batch.packets.view(np.uint8), batch.numbers, batch.buffers)
        heads, _octets = payloads.heads()
        if claim:
            payloads.claim(heads["slot"])
        rows, octets = payloads.pieces()
        for row in rows:
            part = octets[row["start"] : row["start"] + row["length"]].tobytes()
            said.append((int(row["sender"]), int(row["offset"]), int(row["gap"]), part))
    assert said == [
        (0, 0, 0, bytes(range(64))), (1, 0, 0, bytes(range(64))), (0, 200, 136, b"x" * 236), (1, 64, 0, b"@"),
    ]  # fmt: skip


def test_a_state_without_a_free_block_loses_no_head() -> None:
    """What was handed out is forgotten where not one block is free: the table has just as many as what was saved."""
    blocks = 1 << 14  # as many as memory grows by
    listener = Listener(claim=False, **OPTIONS)
    for batch in many(segment(0, 0, b"user"), blocks - 2):
        listener.hear(batch)
    listener.hear(decode_all([segment(0, 0, b"c" * 300), segment(1, 0, b"s" * 40)]))
    assert listener.payloads.kept == blocks * 256
    later = Listener(claim=False, **OPTIONS)
    later.payloads.restore(listener.payloads.state())
    later.finish()
    assert len(later.heads) == blocks - 1
    assert later.heads[blocks - 1] == [Head(1, b"s" * 40, "ended")]


def test_a_damaged_state_is_refused_or_harmless() -> None:
    """Every part of it is changed at random places: what is believed does no harm."""
    listener = Listener(claim=False, **OPTIONS)
    listener.hear(decode_all(mixture(3)[:60]))
    state = listener.payloads.state()
    rest = decode_all(mixture(3)[60:])
    chance = np.random.default_rng(5)
    refused = 0
    for n in range(1500):
        part = ("records", "content", "due", "chance", "pieces")[n % 5]
        octets = bytearray(state[part])
        for _ in range(1 + n % 3):
            if octets:
                octets[int(chance.integers(len(octets)))] ^= 1 << int(chance.integers(8))
        damaged = {**state, part: bytes(octets) if n % 11 else bytes(octets[: len(octets) // 2])}
        later = Listener(claim=n % 2 == 0, **OPTIONS)
        try:
            later.payloads.restore(damaged)
        except ValueError:
            refused += 1
            continue
        later.hear(rest)
        later.finish()
    assert refused > 200


def test_a_state_is_for_the_same_options() -> None:
    state = Payloads(seed=SEED).state()
    with pytest.raises(ValueError, match="other options"):
        Payloads(seed=SEED, head_bytes=5).restore(state)
    with pytest.raises(ValueError, match="only new"):
        listen([datagram(0, b"x")]).payloads.restore(state)


# --- real captures


FOLLOWED = [
    "plaintext/telnet__BruteShark__Telnet.pcap", "plaintext/telnet__BruteShark__Telnet_-_Char_Mode.pcap",
    "plaintext/smtp-auth__zeek__smtp.pcap", "plaintext/imap__arkime__imap.pcap", "plaintext/irc__arkime__irc.pcap",
    "plaintext/pop3__nDPI__pop3.pcap", "plaintext/ftp__zeek__pe.pcap", "plaintext/redis__zeek__bulk-loading.pcap",
    "plaintext/http-basic__arkime__http-basicauth.pcap", "plaintext/socks__bro__socks.pcap",
    "tcp/named__PcapPlusPlus__tcp-reassembly.pcap", "tcp/named__PcapPlusPlus__one_tcp_stream_max_seq.pcap",
    "tcp/named__tcpflow__test1-out-of-order.pcap", "tcp/named__suricata-verify__smtp-out-of-order.pcap",
    "tcp/other__suricata-verify__smtp-multi-mail.pcap", "tcp/named__arkime__wireshark-retrans.pcap",
    "tcp/named__nDPI__rsync.pcap", "tcp/named__bro__missing-syn.pcap",
]  # fmt: skip


@pytest.mark.parametrize("name", FOLLOWED)
def test_streams_are_tsharks(captures: Path, name: str) -> None:
    """tshark -z follow,tcp,raw: the bytes of each side of the capture's first TCP streams."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    listener = Listener(claimed_bytes=1 << 30, memory=1 << 30)
    for batch in spanline.open(captures / name):
        listener.hear(batch)
    listener.finish()
    ours = list(listener.streams().values())
    theirs = followed(captures / name)
    assert any(any(pair) for pair in theirs)
    wanted = [n for n, pair in enumerate(theirs) if any(pair)]
    assert [n for n in wanted if theirs[n] in ours or theirs[n][::-1] in ours] == wanted


def followed(capture: Path, count: int = 4) -> list[tuple[bytes, bytes]]:
    """What tshark says that each side of the first streams said."""
    taps = [option for n in range(count) for option in ("-z", f"follow,tcp,raw,{n}")]
    command = ["tshark", "-n", "-q", "-r", str(capture), *taps]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    found = []
    for stream in told.split("Follow: tcp,raw\n")[1:]:
        lines = [line for line in stream.splitlines() if line and all(c in "0123456789abcdef\t" for c in line)]
        sides = [line for line in lines if line[0] != "\t"], [line[1:] for line in lines if line[0] == "\t"]
        found.append((bytes.fromhex("".join(sides[0])), bytes.fromhex("".join(sides[1]))))
    return found
