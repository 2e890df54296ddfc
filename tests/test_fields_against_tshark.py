"""The text of every field of every frame, as -T fields prints it, against tshark 4.0.17 over all captures.

Lines of both are compared whole; only where they differ, field by field. What depends on frames before (streams and
TCP analysis) is compared where test_streams_against_tshark_frames.py compares it, and its exceptions hold here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

import pytest

import spanline
from spanline.fields import Field, find
from spanline.fields.lines import Style, lines
from spanline.transforms.annotate import Annotate
from tests import tshark
from tests.test_frames_against_tshark import FOLDERS, OTHER_FIELDS, OTHER_FRAMES
from tests.test_streams_against_tshark_frames import DIFFERENT, compared
from tests.test_streams_against_tshark_frames import FIELDS as OF_STREAMS

NO_TIME = "a simple packet block has no time; spanline gives it that of the frame before"
# Captures in which the text of a field differs, by prefix of its name, and why.
OTHER_TEXTS = {
    "formats/pcap-ns-le__gopacket__test010.pcapng": ("frame.time_epoch", NO_TIME),
    "formats/pcap-ns-le__gopacket__test011.pcapng": ("frame.time_epoch", NO_TIME),
}
# Known by what they carry, not by where it stands; compared where applications are.
OF_APPLICATIONS = ("frame.protocols", "dns.", "http.", "tls.", "telnet.")
# Numbers that headers quoted in ICMP errors have, too.
QUOTED = {"tcp.seq", "tcp.ack", "tcp.window_size"}
WRAP = 1 << 32


def fields_of(oracle: Path) -> list[Field]:
    """Of the oracle's fields those that are compared here."""
    names = (oracle / "fields.txt").read_text().split()
    found = (find(name) for name in names if not name.startswith(OF_APPLICATIONS))
    return [field for field in found if field is not None]


def our_lines(capture: Path, fields: list[Field]) -> list[tuple[str, ...]]:
    batches = spanline.open(capture).run(transforms=[Annotate(details=True)])
    text = b"".join(lines(batch, fields, Style()) for batch in batches)
    return [tuple(line.split("\t")) for line in text.decode(errors="replace").split("\n")[:-1]]


def is_overflow(ours: str, theirs: str) -> bool:
    """Whether it is the same time but for tshark's nanoseconds, which have 32 bits: a damaged record may have any
    number of microseconds."""
    parts = re.fullmatch(r"(-?)(\d+)\.(\d+)", theirs)
    if parts is None:
        return False
    minus, seconds, rest = parts[1], int(parts[2]), int(parts[3])
    nanoseconds = seconds * 10**9 + (-rest if minus else rest)
    return (int(ours.replace(".", "")) - nanoseconds) % WRAP == 0


def differences(ours: list[tuple[str, ...]], frames: list[tshark.Frame], names: list[str]) -> Iterator[tuple[str, str]]:
    """(field, how it differs) of each frame whose layers are decoded."""
    wanted = itemgetter(*names)
    different = [n for n, frame in enumerate(frames) if ours[n] != wanted(frame)]
    if not different:
        return
    by_streams = dict(compared(frames))
    for n in different:
        frame = frames[n]
        if not tshark.is_covered(frame):
            continue
        quotes = tshark.quotes(frame)
        for name, text, expected in zip(names, ours[n], wanted(frame), strict=True):
            if text == expected or (name == "frame.time_epoch" and is_overflow(text, expected)):
                continue
            if name not in OF_STREAMS or name in by_streams[n] or (quotes and name in QUOTED):
                yield name, f"frame {n + 1}: {name} {text!r} is not {expected!r}"


def listed(path: str) -> tuple[str, ...]:
    """Prefixes of the fields that differ in a capture for a reason that is known."""
    prefixes = [*OTHER_FIELDS.get(path, ((), ""))[0]]
    prefixes += [table[path][0] for table in (DIFFERENT, OTHER_TEXTS) if path in table]
    return tuple(prefixes)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_text_equals_tsharks(folder: str, captures: Path, oracle: Path) -> None:
    fields = fields_of(oracle)
    names = [field.name for field in fields]
    wrong, stale = [], []
    for path in (p for p in tshark.manifest(captures) if p.startswith(f"{folder}/") and p not in OTHER_FRAMES):
        frames = tshark.frames(oracle, path)
        if not frames:
            continue
        ours = our_lines(captures / path, fields)
        assert len(ours) == len(frames), path
        different = list(differences(ours, frames, names))
        unlisted = [text for name, text in different if not name.startswith(listed(path))]
        wrong += [f"{path}: {unlisted[0]} ({len(unlisted)} in all)"] if unlisted else []
        stale += [path] if path in OTHER_TEXTS and not different else []
    assert not wrong, "\n".join(wrong)
    assert not stale, f"listed as different, but equal: {stale}"


def test_nearly_every_field_is_compared(oracle: Path) -> None:
    """Oracle: the list of its fields. What is missing is not decoded."""
    names = (oracle / "fields.txt").read_text().split()
    compared = {field.name for field in fields_of(oracle)}
    families = {name.split(".")[0] for name in names if name not in compared}
    assert families == {"frame", "mpls", "gtp", "dns", "tls", "http", "telnet"}
