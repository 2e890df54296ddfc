"""How fast the first bytes of conversations are searched for all patterns at once, and which patterns cost most.

    make matching

One thread, one core, the best of some passes over heads in memory: those of an internet mix, most of them encrypted.
A pattern alone should take little more than the call does: it is anchored (`^`) and its repeats are bounded, and
hyperscan then looks at as many bytes as it may match. Those that take longer are named.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import hyperscan

from spanline.plaintext.parsers import protocols
from spanline.plaintext.scanning import BEGINNING, CLIENT, SERVER, UNKNOWN, Scanner

HEADS = 40_000
HEAD_BYTES = 4096
PASSES = 5
SLOWEST = 12
"""Patterns that are named."""
WANTED = 1.0
"""GB/s of payload."""
NOTHING = rb"^\x00\x00nothing"
Work: TypeAlias = Callable[[], object]

WORDS = (
    b"the of and to in is for on that by this with you it not or be are from at as your all have new more an".split()
)

# What sides of conversations begin with, the share of each, and who sends it; what follows is random, or text.
ENCRYPTED = (
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0.25, CLIENT),
    (b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03", 0.25, SERVER),
    (b"\xc3\x00\x00\x00\x01\x08", 0.07, CLIENT),
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", 0.02, SERVER),
    (b"", 0.11, UNKNOWN),
)
READABLE = (
    (b"GET /a/page?of=some HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: none\r\nAccept: */*\r\n\r\n", 0.1, CLIENT),
    (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nServer: none\r\nContent-Length: 100000\r\n\r\n<html>",
        0.1,
        SERVER,
    ),
    (b"220 mail.example.com ESMTP Postfix\r\n250-mail.example.com\r\n", 0.02, SERVER),
    (b"EHLO client.example.com\r\nMAIL FROM:<a@example.com>\r\n", 0.02, CLIENT),
    (b"* OK [CAPABILITY IMAP4rev1 IDLE] ready.\r\n", 0.01, SERVER),
    (b"\x05\x01\x00", 0.01, CLIENT),
    (b"", 0.04, UNKNOWN),
)
# Lengths of heads, from and to, and their share: many conversations say little, long ones fill their heads.
LENGTHS = (
    (40, 160, 0.25),
    (160, 600, 0.3),
    (600, 1500, 0.2),
    (1500, HEAD_BYTES - 1, 0.1),
    (HEAD_BYTES, HEAD_BYTES, 0.15),
)


@dataclass(frozen=True)
class Heads:
    """Heads one behind the other, as Scanner.scan() takes them."""

    octets: memoryview
    starts: list[int]
    ends: list[int]
    senders: list[int]


def mix(count: int, seed: int = 1) -> Heads:
    """Heads of `count` sides of conversations."""
    chance = random.Random(seed)
    text = b" ".join(chance.choices(WORDS, k=2 * HEAD_BYTES))
    kinds = [(*kind, b"") for kind in ENCRYPTED] + [(*kind, text) for kind in READABLE]
    whole, starts, senders = bytearray(), [0], []
    for beginning, _, sender, then in chance.choices(kinds, [share for _, share, *_ in kinds], k=count):
        low, high, _ = chance.choices(LENGTHS, [share for *_, share in LENGTHS])[0]
        length = chance.randint(low, high)
        rest = max(0, length - len(beginning))
        start = chance.randrange(HEAD_BYTES)
        whole += (beginning + (then[start : start + rest] if then else chance.randbytes(rest)))[:length]
        starts.append(len(whole))
        senders.append(sender)
    return Heads(memoryview(bytes(whole)), starts[:-1], starts[1:], senders)


def best(*work: Callable[[], object]) -> list[float]:
    """Seconds that each takes when nothing disturbs; in turns, as then all are disturbed alike."""
    seconds = [float("inf")] * len(work)
    for _ in range(PASSES):
        for n, one in enumerate(work):
            begin = time.perf_counter()
            one()
            seconds[n] = min(seconds[n], time.perf_counter() - begin)
    return seconds


def scanning(expressions: Sequence[bytes], heads: Heads, note: Callable[..., object] = lambda *_: None) -> Work:
    """Scans all heads, one by one."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=list(expressions), ids=list(range(len(expressions))), flags=[BEGINNING] * len(expressions)
    )
    scratch, scan, octets = hyperscan.Scratch(database), database.scan, heads.octets

    def work() -> None:
        for start, end in zip(heads.starts, heads.ends, strict=True):
            scan(octets[start:end], note, 0, None, scratch)  # type: ignore[arg-type, type-var]

    return work


@dataclass(frozen=True)
class Cost:
    """What one pattern costs alone: nanoseconds a head more than a call does, and the part of all heads that match."""

    owner: str
    expression: bytes
    nanoseconds: float
    matching: float


def costs(heads: Heads) -> Iterator[Cost]:
    """Of each pattern."""
    count = len(heads.starts)
    for protocol in protocols():
        for pattern in protocol.patterns:
            matches: list[object] = []
            scanning([pattern.expression], heads, lambda *_, matches=matches: matches.append(None))()
            call, alone = best(scanning([NOTHING], heads), scanning([pattern.expression], heads))
            yield Cost(protocol.name, pattern.expression, (alone - call) / count * 1e9, len(matches) / count)


def report(heads: Heads, slowest: int) -> Iterator[str]:
    """Lines."""
    count, size = len(heads.starts), len(heads.octets)
    scanner = Scanner(protocols())
    patterns = [pattern.expression for protocol in protocols() for pattern in protocol.patterns]
    dear = sorted(costs(heads), key=lambda cost: -cost.nanoseconds)[:slowest]
    kept = [expression for expression in patterns if expression not in {cost.expression for cost in dear}]
    every = heads.octets, heads.starts, heads.ends, heads.senders
    work = {
        "Scanner.scan()": lambda: scanner.scan(*every, asked=()),
        "and what else all of them begin like": lambda: scanner.scan(*every),
        "hyperscan, all patterns on every head": scanning(patterns, heads),
        "one pattern that nothing begins with": scanning([NOTHING], heads),
        f"without the {slowest} patterns below": scanning(kept, heads),
    }
    yield f"{len(patterns)} patterns, {count:,} heads of {size / count:.0f} bytes on average"
    for name, seconds in zip(work, best(*work.values()), strict=True):
        reached = f"  {'reaches' if size / seconds >= WANTED * 1e9 else 'BELOW'} {WANTED:g} GB/s"
        speed = f"{name:40} {size / seconds / 1e9:5.2f} GB/s  {seconds / count * 1e9:5.0f} ns a head"
        yield speed + (reached if name.startswith("Scanner") else "")
    yield f"\n{'ns a head':>9} {'matching':>8}  of, and pattern"
    for cost in dear:
        text = ascii(cost.expression)[2:-1]
        shown = text if len(text) < 80 else f"{text[:79]}…"
        yield f"{cost.nanoseconds:9.0f} {cost.matching:8.1%}  {cost.owner}: {shown}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how fast heads are searched, and name slow patterns.")
    parser.add_argument("--heads", type=int, default=HEADS, help="how many")
    parser.add_argument("--slowest", type=int, default=SLOWEST, help="patterns to name")
    arguments = parser.parse_args()
    for line in report(mix(arguments.heads), arguments.slowest):
        print(line, flush=True)


if __name__ == "__main__":
    main()
