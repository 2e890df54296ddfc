"""Flows against tshark 4.0.17: packets, bytes and initial RTT of every tcp.stream, packets and bytes by udp.stream.

As tshark counts: no timeouts, tunnels and VLANs do not separate, whole frames are counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import spanline
from spanline.arrow import textual
from tests import tshark
from tests.test_frames_against_tshark import FOLDERS, OTHER_FRAMES

PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17}
Ends = tuple[int, frozenset[tuple[str, int]]]

VNC = "tshark's VNC dissector opens a conversation of its own in the middle of the connection"
# Captures in which TCP streams differ, and why.
OTHER_STREAMS = {
    "plaintext/vnc__nDPI__vnc.pcap": VNC,
    "ip/v6ext__FlowTest__ipv6-routing-header.pcap": "tshark's streams go by the segment list, spanline's by the header",
    "malformed/suricata__suricata-verify__tcp-session-decode-malformed-ipv4__input.pcap": (
        "tshark stops at a malformed IP option and leaves the segment out"
    ),
    "apps/http__tcpflow__bug8.pcap": "a time with more than 10^6 µs: tshark's 32-bit nanoseconds overflow",
}
# tshark opens another udp.stream whenever a dissector announces a conversation (RTP, SNMP, portmap, HART-IP, …): those
# with the same ends are added up.
PORTMAP = "tshark's portmap dissector makes one stream of all clients of a port"
OTHER_DATAGRAMS = {
    "apps/other__bro__rpc-portmap-sadmind.pcap": PORTMAP,
    "malformed/zeek__zeek__nfs_write_bad_stable_how.pcap": PORTMAP,
    "tcp/other__zeek__nfs_write.pcap": PORTMAP,
    "ip/v4opt__PcapFlowLab__07_ipv4_loose_source_route_udp.pcap": "tshark takes the destination from the source route",
}


@dataclass
class Stream:
    """One stream as tshark tells it. `comparable` is false when a frame of it is not fully decoded."""

    ends: Ends
    packets: int = 0
    octets: int = 0
    initial_rtt: float | None = None
    comparable: bool = True


def tshark_streams(frames: list[tshark.Frame], protocol: str) -> Iterator[Stream]:
    streams: dict[str, Stream] = {}
    for frame in frames:
        numbers = tshark.occurrences(frame, f"{protocol}.stream")
        if not numbers or tshark.quotes(frame):
            continue
        network = tshark.innermost(frame)
        sides = zip(("src", "dst"), ("srcport", "dstport"), strict=True)
        ends = frozenset(
            (frame[f"{network}.{a}"].split(",")[-1], int(frame[f"{protocol}.{p}"].split(",")[-1])) for a, p in sides
        )
        stream = streams.setdefault(numbers[-1], Stream((PROTOCOL_NUMBERS[protocol], ends)))
        stack = tshark.protocols(frame)
        innermost = len(stack) - 1 - stack[::-1].index(network)
        stream.comparable &= tshark.is_covered(frame)
        stream.comparable &= protocol in stack[innermost:]
        stream.packets += 1
        stream.octets += int(frame["frame.len"])
        if printed := tshark.occurrences(frame, "tcp.analysis.initial_rtt"):
            stream.initial_rtt = float(printed[-1])
    return iter(streams.values())


def our_flows(capture: Path) -> dict[Ends, list[dict[str, object]]]:
    options = {"idle_timeout": None, "active_timeout": None, "by_vni": False, "by_vlan": False, "whole_frames": True}
    flows: dict[Ends, list[dict[str, object]]] = defaultdict(list)
    for flow in textual(spanline.flows(capture, **options)).to_pylist():
        ends = frozenset((flow[side], flow[f"{side}_port"]) for side in ("source", "destination"))
        flows[flow["protocol"], ends].append(flow)
    return flows


def total(flow: dict[str, object], what: str) -> int:
    return int(flow[f"source_{what}"]) + int(flow[f"destination_{what}"])  # type: ignore[call-overload]


def tcp_differences(flows: dict[Ends, list[dict[str, object]]], streams: Iterator[Stream]) -> Iterator[str]:
    for stream in streams:
        if not stream.comparable:
            continue
        sums = [(total(flow, "packets"), total(flow, "bytes")) for flow in flows.get(stream.ends, [])]
        if (stream.packets, stream.octets) not in sums:
            yield f"{stream.ends}: {sums} has no {stream.packets} packets of {stream.octets} bytes"
            continue
        ours = [flow["initial_rtt"] for flow in flows[stream.ends] if total(flow, "bytes") == stream.octets]
        rtt = stream.initial_rtt
        if rtt is not None and not any(o is not None and abs(int(o) - rtt * 1e9) < 1000 for o in ours):  # type: ignore[call-overload]
            yield f"{stream.ends}: initial RTT {ours} is not {rtt} s"


def udp_differences(flows: dict[Ends, list[dict[str, object]]], streams: Iterator[Stream]) -> Iterator[str]:
    together: dict[Ends, Stream] = {}
    for stream in streams:
        one = together.setdefault(stream.ends, Stream(stream.ends))
        one.packets += stream.packets
        one.octets += stream.octets
        one.comparable &= stream.comparable
    for stream in together.values():
        if stream.comparable:
            found = flows.get(stream.ends, [])
            sums = sum(total(flow, "packets") for flow in found), sum(total(flow, "bytes") for flow in found)
            if sums != (stream.packets, stream.octets):
                yield f"{stream.ends}: {sums} is not {stream.packets} packets of {stream.octets} bytes"


@pytest.mark.parametrize("folder", FOLDERS)
def test_flows_equal_tsharks_streams(folder: str, captures: Path, oracle: Path) -> None:
    wrong, stale = [], []
    for path in (p for p in tshark.manifest(captures) if p.startswith(f"{folder}/") and p not in OTHER_FRAMES):
        frames = tshark.frames(oracle, path)
        if not frames:
            continue
        flows = our_flows(captures / path)
        tcp = list(tcp_differences(flows, tshark_streams(frames, "tcp")))
        udp = list(udp_differences(flows, tshark_streams(frames, "udp")))
        wrong += [f"{path}: {text}" for text in tcp if path not in OTHER_STREAMS]
        wrong += [f"{path}: {text}" for text in udp if path not in OTHER_DATAGRAMS]
        stale += [path] if (path in OTHER_STREAMS and not tcp) or (path in OTHER_DATAGRAMS and not udp) else []
    assert not wrong, "\n".join(wrong)
    assert not stale, f"listed as different, but equal: {stale}"


def test_most_streams_are_compared(captures: Path, oracle: Path) -> None:
    streams = [
        stream
        for path in tshark.manifest(captures)
        for frames in [tshark.frames(oracle, path)]
        for protocol in PROTOCOL_NUMBERS
        for stream in tshark_streams(frames, protocol)
    ]
    assert sum(stream.comparable for stream in streams) > 0.9 * len(streams)
    assert sum(stream.comparable and stream.initial_rtt is not None for stream in streams) > 1400
