"""TCP conversations for tests, what they are followed as, and what tshark follows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from spanline.batch import Batch
from spanline.cli.stream_view import STYLES
from spanline.stages.ends import stream
from spanline.stages.follow import Follow
from spanline.transforms.annotate import Annotate
from tests.craft import Frame, ethernet, ipv4, tcp
from tests.craft_files import START, Record
from tests.rows import decode_all

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
# Unlike words of any protocol.
PASSWORD = "Xq7-vb_kZ93"

Said = tuple[int, str, int, int, bytes]


def segment(said: Said, number: int, port: int, isn: tuple[int, int], outer: Frame) -> Record:
    """(way, flags, seq, ack, payload) as a frame; way 0 is the client's, seq and ack are relative."""
    way, flags, seq, ack, payload = said
    ends, ports = (CLIENT, SERVER), (50123, port)
    header = tcp(
        ports[way], ports[1 - way], seq=(isn[way] + seq) % 2**32, ack=(isn[1 - way] + ack) % 2**32, flags=flags
    )
    return Record(START + number * 10**6, outer / ethernet() / ipv4(ends[way], ends[1 - way]) / header / payload)


def segments(
    said: Iterable[Said], port: int = 7, isn: tuple[int, int] = (100, 900), outer: Frame | None = None
) -> list[Record]:
    return [segment(one, number, port, isn, outer or Frame()) for number, one in enumerate(said)]


def talk(*lines: str, port: int = 21) -> list[Record]:
    """A connection: lines of the server begin with "<", those of the client with ">"."""
    said: list[Said] = [(0, "S", 0, 0, b""), (1, "SA", 0, 1, b""), (0, "A", 1, 1, b"")]
    sent = [1, 1]
    for line in lines:
        way, payload = "><".index(line[0]), f"{line[1:]}\r\n".encode()
        said.append((way, "PA", sent[way], sent[1 - way], payload))
        sent[way] += len(payload)
    return segments(said, port)


LOGIN = talk("<220 FTP server ready", ">USER alice", "<331 Password required", f">PASS {PASSWORD}", "<230 Logged in")

OPEN: list[Said] = [(0, "S", 0, 0, b""), (1, "SA", 0, 1, b""), (0, "A", 1, 1, b"")]


def annotated(records: Sequence[Record]) -> Batch:
    (batch,) = Annotate(details=True, applications=False).feed(decode_all(records))
    return batch


def followed(records: Sequence[Record], wanted: str = "tcp.stream==0", **options: Any) -> Follow:
    stage = Follow(stream(wanted), **options)
    stage.update(annotated(records))
    return stage


def tshark_follows(path: Path, transport: str, numbers: Iterable[int]) -> dict[tuple[int, str], str]:
    """What tshark prints of each stream in each style."""
    wanted = [f"follow,{transport},{style},{number}" for number in numbers for style in STYLES.values()]
    options = [option for one in wanted for option in ("-z", one)]
    ran = subprocess.run(["tshark", "-n", "-q", "-r", path, *options], capture_output=True, timeout=120, check=False)
    mark = f"\n{'=' * 67}\nFollow: {transport},"
    names = {theirs: style for style, theirs in STYLES.items()}
    parts = {}
    for part in ran.stdout.decode("latin-1").split(mark)[1:]:
        style, _, rest = part.partition("\n")
        parts[int(rest.split(".stream eq ")[1].split("\n")[0]), names[style]] = mark + part
    return parts
