"""What tshark 4.0.17 says of the shared captures: the oracle, made by tshark alone (its README says how)."""

from __future__ import annotations

import csv
import gzip
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

Frame = dict[str, str]

# What spanline decodes, in tshark's names. Every other layer below an application is found by `is_covered`, from
# tshark's own list of a frame's protocols.
DECODED = frozenset({
    *("eth", "ethertype", "sll", "null", "raw", "tr", "fddi", "vlan", "ieee8021ad", "llc", "arp"),
    *("ip", "ipv6", "ipv6.hopopts", "ipv6.routing", "ipv6.fraghdr", "ipv6.dstopts", "ah"),
    *("tcp", "udp", "icmp", "icmpv6", "sctp", "vxlan", "gre", "geneve", "erspan"),
})  # fmt: skip
# Names that also stand above an application (802.2 inside something) and prove nothing about a further layer.
_WEAK = frozenset({"llc", "ethertype"})


def manifest(captures: Path) -> list[str]:
    """The paths of all captures, relative to the folder."""
    with (captures / "MANIFEST.tsv").open(newline="") as table:
        return [row["path"] for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)]


def frames(oracle: Path, capture: str) -> list[Frame]:
    """One dict of display-filter fields for each frame; all occurrences of a field are joined by commas."""
    path = oracle / f"{capture}.fields.tsv.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", errors="replace", newline="\n") as lines:
        names = lines.readline().rstrip("\n").split("\t")
        return [dict(zip(names, line.rstrip("\n").split("\t"), strict=False)) for line in lines]


def occurrences(frame: Frame, field: str) -> list[str]:
    return frame[field].split(",") if frame.get(field) else []


def protocols(frame: Frame) -> list[str]:
    return frame["frame.protocols"].split(":")


def is_covered(frame: Frame) -> bool:
    """Whether spanline decodes every link, network, transport and tunnel layer that tshark found in the frame."""
    return _is_covered(frame["frame.protocols"])


@cache
def _is_covered(text: str) -> bool:
    stack = text.split(":")
    for n, protocol in enumerate(stack):
        if protocol not in DECODED:
            return n > 0 and not (DECODED - _WEAK).intersection(stack[n:])
    return True


def is_fragment(frame: Frame) -> bool:
    """Whether IP reassembly changes what tshark says of the frame."""
    return (
        "1" in frame["ip.flags.mf"]
        or any(offset != "0" for offset in occurrences(frame, "ip.frag_offset"))
        or "ipv6.fraghdr" in protocols(frame)
    )


def quotes(frame: Frame) -> bool:
    """Whether the frame is an ICMP message with the headers of another packet in it."""
    return _quotes(frame["frame.protocols"])


@cache
def _quotes(text: str) -> bool:
    stack = text.split(":")
    return any(p in ("icmp", "icmpv6") and {"ip", "ipv6"}.intersection(stack[n:]) for n, p in enumerate(stack))


def innermost(frame: Frame) -> str:
    """The innermost IP layer, "ip" or "ipv6", or "" without one."""
    return next((p for p in reversed(protocols(frame)) if p in ("ip", "ipv6")), "")


def statistics(oracle: Path, capture: str) -> dict[str, list[str]]:
    """What tshark says of the whole capture: the lines of its conversations and endpoints, by their title."""
    path = oracle / f"{capture}.stats.txt.gz"
    if not path.exists():
        return {}
    with gzip.open(path, "rt", errors="replace", newline="\n") as lines:
        return sections(lines)


def sections(lines: Iterable[str]) -> dict[str, list[str]]:
    """Each "… Conversations" and "… Endpoints" of tshark's output, with the rules before and after it."""
    found: dict[str, list[str]] = {}
    previous, open_section = "", None
    for text in lines:
        line = text.rstrip("\n")
        if line.endswith((" Conversations", " Endpoints")):
            open_section = found.setdefault(line, [previous])
        if open_section is not None:
            open_section.append(line)
            if line.startswith("==="):
                open_section = None
        previous = line
    return found


def run(capture: Path, *taps: str) -> str:
    """What `tshark -q -z TAP …` prints of a capture. Skips where tshark is not installed."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    options = [option for tap in taps for option in ("-z", tap)]
    ran = subprocess.run(["tshark", "-n", "-q", "-r", capture, *options], capture_output=True, text=True, timeout=60)
    return ran.stdout


def fields(capture: Path, choose: str, *names: str, decode_as: str = "") -> list[tuple[str, ...]]:
    """What tshark shows of the frames that it selects: all occurrences of each field, joined by commas. Skips where
    it is not installed."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    options = [option for name in names for option in ("-e", name)]
    options += ["-d", decode_as] if decode_as else []
    ran = subprocess.run(
        ["tshark", "-n", "-r", capture, "-Y", choose, "-T", "fields", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [tuple(line.split("\t")) for line in ran.stdout.splitlines()]
