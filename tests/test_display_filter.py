"""-Y goes through every command, and every frame is accounted for. Oracle: the same frames picked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import spanline
from spanline.filters import FilterError, compile_filter
from spanline.stages.flows import Flows
from spanline.transforms.annotate import Annotate
from tests.commands import handshake, many_flows, question, run
from tests.craft import arp, ethernet
from tests.craft_files import START, Record, pcap
from tests.rows import decode_all
from tests.test_batch import FRAMES
from tests.tshark import manifest


def numbers_shown(*arguments: str | Path) -> list[int]:
    return [row["number"] for row in json.loads(run("packets", "--format", "json", *arguments).stdout)]


def test_packets_keep_their_numbers(capture: Path) -> None:
    assert numbers_shown("-Y", "udp or arp", capture) == [4, 5]
    assert numbers_shown("-Y", "tcp.flags.ack == 1", "-n", 1, capture) == [2]
    assert numbers_shown("-Y", "", capture) == [1, 2, 3, 4, 5]
    assert numbers_shown("-Y", "icmp", capture) == []


def test_flows_and_round_trips_are_those_of_matching_frames(tmp_path: Path) -> None:
    path = tmp_path / "two.pcap"
    path.write_bytes(pcap([*handshake(), *handshake("10.0.0.9"), question()], nanoseconds=True))
    rows = json.loads(run("flows", "-Y", "ip.addr == 10.0.0.9", "--format", "json", path).stdout)
    assert [(row["source"], row["source_packets"], row["destination_packets"]) for row in rows] == [("10.0.0.9", 2, 1)]
    rows = json.loads(run("rtt", "-Y", "tcp.flags.syn == 1", "--format", "json", path).stdout)
    assert [(row["count"]) for row in rows] == [2]


def test_info_tells_of_matching_frames(capture: Path) -> None:
    (facts,) = json.loads(run("info", "-Y", "tcp", "--format", "json", capture).stdout)
    assert [facts[name] for name in ("packets", "decoded", "undecodable")] == [3, 3, 0]


def test_the_account_of_crunch(capture: Path, tmp_path: Path) -> None:
    line = run("crunch", "-Y", "not udp", "-o", tmp_path / "out.csv", capture).stderr.splitlines()[-1]
    assert "; read 5 = decoded 5 + undecodable 0; " in line
    assert "; decoded 5 = filtered out 1 + in flows 3 + not in flows 1; " in line


def test_views_are_those_of_matching_frames(tmp_path: Path) -> None:
    """Times count from the first frame of the capture, as in tshark -z conv,tcp,FILTER."""
    path = tmp_path / "two.pcap"
    path.write_bytes(pcap([question(-2 * 10**9), *handshake()], nanoseconds=True))
    asked = "conversations,io", "--type", "tcp", "--format", "json", "-Y", "tcp.stream == 0 && tcp.analysis.ack_rtt"
    views = json.loads(run("stats", *asked, path).stdout)
    (conversation,) = views["conversations"]
    assert conversation["source_packets"] + conversation["destination_packets"] == 2
    assert conversation["relative_start"] == 2_001_500_000
    assert [(row["relative_start"], row["frames"]) for row in views["io"]] == [(2 * 10**9, 2)]


def test_what_a_filter_requires_is_found_out_once(capture: Path) -> None:
    """By the Annotate that is there already."""
    annotate = Annotate()
    opened = spanline.open(capture, display_filter="tcp.stream == 0 && tcp.analysis.ack_rtt")
    batches = list(opened.run(transforms=[annotate]))
    assert annotate.counters.packets == opened.counters.read == 5
    assert [len(batch.analysis) for batch in batches] == [len(batch) for batch in batches]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_see_the_same(tmp_path: Path, threads: int) -> None:
    path = many_flows(tmp_path, 30_000)
    capture = spanline.open(path, display_filter="udp.srcport % 3 == 1", threads=threads)
    ports = np.concatenate([batch.packets["source_port"].copy() for batch in capture])
    wanted = np.arange(1024, 31_024)
    assert ports.tolist() == wanted[wanted % 3 == 1].tolist()
    assert (capture.counters.read, capture.counters.filtered_out) == (30_000, 20_000)


def test_every_frame_of_every_capture_is_accounted_for(captures: Path) -> None:
    for path in manifest(captures)[::9]:
        capture, flows = spanline.open(captures / path, display_filter="frame.number % 3 == 1 or arp"), Flows()
        try:
            rows = sum(len(batch) for batch in capture.run(flows))
        except spanline.CaptureError:
            continue
        counters = capture.counters
        assert rows + counters.filtered_out <= counters.read
        in_flows = flows.flow_packets + flows.non_flow_packets
        assert counters.decoded == counters.filtered_out + in_flows, path


def test_frames_that_cannot_be_decoded_are_not_filtered_out(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([Record(START, b"\0" * 3), Record(START, ethernet() / arp())]))
    capture = spanline.open(path, display_filter="ip")
    assert sum(map(len, capture)) == 0
    counters = capture.counters
    assert (counters.read, counters.undecodable, counters.filtered_out) == (2, 1, 1)


def test_a_filter_knows_its_fields() -> None:
    filter = compile_filter("ip.src == 1.2.3.4 and not (udp.port in {udp.length..9} or len(tcp) > 20)")
    assert sorted(field.name for field in filter.fields) == ["ip.src", "tcp", "udp.length", "udp.port"]


def test_an_empty_filter_and_an_empty_batch() -> None:
    batch = decode_all(FRAMES)
    assert compile_filter(" ").mask(batch).all()
    none = batch.select(np.zeros(len(batch), np.bool_))
    assert compile_filter("tcp.port == 80 or udp[0] == 1").mask(none).tolist() == []


@pytest.mark.parametrize("separator", [" or ", "||"])
def test_ten_thousand_terms_are_one_set(separator: str) -> None:
    batch = decode_all(FRAMES)
    terms = [f"tcp.port == {number}" for number in range(3, 10_003)]
    assert compile_filter(separator.join(terms)).mask(batch).tolist() == [False, False, True, False, False, False]
    mixed = separator.join(f"(tcp.port == {number} and ip)" for number in range(1, 2001))
    assert np.flatnonzero(compile_filter(mixed).mask(batch)).tolist() == [1, 2, 5]


def test_nesting_of_a_thousand() -> None:
    batch = decode_all(FRAMES)
    once = compile_filter("udp").mask(batch)
    assert (compile_filter("(" * 1000 + "udp" + ")" * 1000).mask(batch) == once).all()
    assert (compile_filter("not (" * 1000 + "udp" + ")" * 1000).mask(batch) == once).all()
    assert (compile_filter("!" * 1001 + "udp").mask(batch) == ~once).all()


def test_expressions_take_time_proportional_to_the_data() -> None:
    """With backtracking this one would take longer than the universe has lasted."""
    payload = b"a" * 1000 + b"!"
    batch = decode_all([FRAMES[2] / payload])
    assert not compile_filter('tcp matches "(a*)*(a*)*(a|a)*b"').mask(batch).any()


def test_a_filter_can_be_given_compiled(capture: Path) -> None:
    filter = compile_filter("udp")
    assert [number for batch in spanline.open(capture, display_filter=filter) for number in batch.numbers] == [4]
    with pytest.raises(FilterError):
        spanline.open(capture, display_filter="udp udp")
