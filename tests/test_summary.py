"""What a capture is made of.

Oracle: capinfos 4.0.17 of every shared capture, by its machine-readable table.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import spanline
from spanline.stages.summary import Summary, link_type_name, rates
from tests.craft import arp, ethernet, ipv4, tcp, udp
from tests.craft_files import START, Record, pcap
from tests.rows import decode_all

FRAMES = [ethernet() / ipv4() / udp() / b"12", ethernet() / arp(), ethernet() / ipv4() / tcp(), b"\x02" * 3]
SIZES = [len(bytes(frame)) for frame in FRAMES]


def summary_of(*records: Record) -> Summary:
    summary = Summary()
    for record in records:
        summary.update(decode_all([record]))
    return summary


def test_frames_bytes_stacks_and_verdicts_are_counted() -> None:
    summary = Summary()
    # The last frame of FRAMES is as short as it was sent; another one was cut on its way.
    summary.update(decode_all([*FRAMES, Record(START, FRAMES[0], 9000), Record(START, FRAMES[3], 60)]))
    assert (summary.frames, summary.cut) == (6, 2)
    assert summary.data_bytes == sum(SIZES) + 9000 + 60
    assert summary.captured_bytes == sum(SIZES) + SIZES[0] + SIZES[3]
    tables = summary.tables()
    assert [tuple(row.values()) for row in tables["stacks"].to_pylist()] == [
        ("eth", 2, 3 + 60),
        ("eth:ip:udp", 2, SIZES[0] + 9000),
        ("eth:arp", 1, SIZES[1]),
        ("eth:ip:tcp", 1, SIZES[2]),
    ]
    assert [tuple(row.values()) for row in tables["verdicts"].to_pylist()] == [
        ("ok", "", 4),
        ("truncated", "eth", 1),
        ("malformed", "eth", 1),
    ]
    assert summary.interfaces == {0: 6}
    assert summary.drain() == {}


@pytest.mark.parametrize(("times", "in_order"), [([1, 2, 2], True), ([1, 3, 2], False), ([], True)])
def test_order_and_duration_are_by_time_whatever_comes_in_one_batch(times: list[int], in_order: bool) -> None:
    records = [Record(START + time, FRAMES[0]) for time in times]
    together = Summary()
    together.update(decode_all(records))
    for summary in (together, summary_of(*records)):
        assert summary.in_order == in_order
        assert summary.first == (START + min(times) if times else None)
        assert summary.duration == (max(times) - min(times) if times else None)


def test_rates_are_over_the_duration() -> None:
    summary = summary_of(Record(START, FRAMES[0]), Record(START + 2 * 10**9, FRAMES[0]))
    assert rates(summary) == {
        "data_byte_rate": SIZES[0],
        "data_bit_rate": SIZES[0] * 8,
        "average_packet_size": SIZES[0],
        "average_packet_rate": 1.0,
    }
    assert set(rates(Summary()).values()) == {None}


def test_summaries_of_several_files_add_up() -> None:
    total = Summary()
    for part in (summary_of(Record(START, FRAMES[0])), Summary(), summary_of(Record(START - 5, FRAMES[1]))):
        total.merge(part)
    assert (total.frames, total.data_bytes, total.first, total.last) == (2, sum(SIZES[:2]), START - 5, START)
    assert set(total.stacks) == {("eth", "ip", "udp"), ("eth", "arp")}


def test_link_types_have_their_names() -> None:
    assert [link_type_name(number) for number in (1, 101, 276, 9999)] == ["ETHERNET", "RAW", "LINUX_SLL2", "9999"]


def capinfos(*paths: Path) -> dict[Path, list[str]]:
    """Of each capture packets, file size, data size, duration in s, strict time order; not of those in which capinfos
    sees a fault."""
    if not shutil.which("capinfos"):
        pytest.skip("capinfos, which comes with tshark, is not installed")
    ran = subprocess.run(["capinfos", "-TMrcsdu", "-o", *paths], capture_output=True, text=True)
    rows = (line.split("\t") for line in ran.stdout.splitlines())
    return {Path(name): row for name, *row in rows if f'"{name}"' not in ran.stderr}


def facts(path: Path) -> list[str]:
    capture, summary = spanline.open(path), Summary()
    for _ in capture.run(summary):
        pass
    duration = f"{(summary.duration or 0) / 1e9:.9f}"
    known = summary.frames, capture.files[0].size, summary.data_bytes, duration, summary.in_order
    return [str(fact) for fact in known]


def test_a_capture_is_what_capinfos_says(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([Record(START + n * n, frame) for n, frame in enumerate(FRAMES)], nanoseconds=True))
    assert facts(path) == capinfos(path)[path]


# A µs field of more than 4.29 s becomes ns in 32 bits in wiretap, and overflows.
OVERFLOW = {
    "http__tcpflow__bug8.pcap",
    "ntopng__ntopng__pim_header_asan-2.pcap",
    "tcpdump__tcpdump__pim_header_asan-2.pcap",
}


def is_comparable(theirs: list[str]) -> bool:
    """capinfos gives no duration without times, and a wrong one where a µs field is more than a second."""
    return theirs[3] != "n/a" and "-" not in theirs[3] and float(theirs[3]) < 1e8


def test_every_shared_capture_is_what_capinfos_says(captures: Path) -> None:
    wrong, compared = [], 0
    for path, theirs in capinfos(*sorted(captures.glob("*/*"))).items():
        if not is_comparable(theirs):
            continue
        try:
            ours = facts(path)
        except spanline.CaptureError:
            continue
        compared += 1
        if ours[:3] + ours[4:] != theirs[:3] + theirs[4:] or abs(float(ours[3]) - float(theirs[3])) > 1e-6:
            wrong.append((path.name, ours, theirs))
    assert [difference for difference in wrong if difference[0] not in OVERFLOW] == []
    assert compared > 1000
