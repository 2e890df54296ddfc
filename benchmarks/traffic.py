"""Write pcap files of synthetic traffic whose flow table is known beforehand.

    python benchmarks/traffic.py mix out.pcap --packets 1000000 --flows 25000 --seed 1 --truth out.npy

Kinds:

- `mix`: an internet mix, mean frame about 454 bytes: TCP (TLS, HTTP, others), UDP (DNS, QUIC-like), ICMP echo; 5 % of
  the flows are IPv6. Flow sizes are heavy-tailed and the flows overlap in time. Every TCP flow has a handshake; some
  lose the SYN or the SYN-ACK, some are refused or never answered; they end by FIN, by RST, or not at all.
- `small`: frames of exactly 64 captured bytes (no FCS), or of --frame bytes, flows in random order, IPv4, UDP or TCP
  without handshakes.
- `colliding`: the same, with five-tuples that collide under hashes without a secret (traffic_colliding.py).
- `vxlan`: the mix with every frame in Ethernet/IPv4/UDP/VXLAN, several VNIs, some five-tuples in two of them; but for
  those five-tuples its inner packets are those of the mix with the same arguments.

The truth is computed from the generator's plan, never from the frames: one row per flow, in order of first packet. No
capture lasts 120 s, so that no flow is idle for 120 s or active for 1800 s and the usual timeouts split none. All IPv4,
TCP, UDP and ICMP checksums are correct; the outer UDP checksum is 0. Equal arguments give equal files.
"""

from __future__ import annotations

import argparse
import struct
from os import PathLike

import numpy as np
from traffic_colliding import make_collide
from traffic_frames import TCP, UDP, Array, Assembler, frame_bytes
from traffic_plan import HANDSHAKES, Plan, plan_mix, plan_small

KINDS = ("mix", "small", "colliding", "vxlan")
SHORTEST, LONGEST_FRAME = 64, 1514
VNIS = (100, 200, 300)
LONGEST = 100
"""Longest `seconds`. A flow begins in the first 35 % and takes at most half, plus the few seconds of a handshake."""

NANOSECOND_MAGIC, MICROSECOND_MAGIC = 0xA1B23C4D, 0xA1B2C3D4
SNAP_LENGTH, LINK_TYPE_ETHERNET = 262144, 1

TRUTH = np.dtype(
    [
        ("first_seen", "i8"), ("last_seen", "i8"), ("source", "u1", 16), ("destination", "u1", 16),
        ("source_port", "u2"), ("destination_port", "u2"), ("protocol", "u1"), ("vni", "u4"),
        ("source_packets", "i8"), ("destination_packets", "i8"), ("source_bytes", "i8"), ("destination_bytes", "i8"),
        ("source_payload_bytes", "i8"), ("destination_payload_bytes", "i8"),
        ("source_tcp_flags", "u1"), ("destination_tcp_flags", "u1"),
        ("syn_synack_rtt", "i8"), ("synack_ack_rtt", "i8"), ("handshake_rtt", "i8"), ("initial_rtt", "i8"),
        ("syn_retransmissions", "i8"), ("synack_retransmissions", "i8"), ("conn_state", "U5"),
    ]
)  # fmt: skip
"""One row per flow; `source` is the originator. Times are ns since the epoch. RTTs are ns, -1 where unknown. Bytes are
wire lengths of the innermost frame. `vni` is 0xFFFFFFFF without a tunnel. ICMP echo has ports 8 (type) and 0 (code)."""


def _rtt_positions(handshake: str) -> tuple[list[int], list[int]]:
    """For each of the three RTTs of a handshake, the positions of the packets at which it begins and ends, or -1.

    They are: the last SYN before the first SYN-ACK, to that SYN-ACK; the last SYN-ACK before the client's first ACK, to
    that ACK; and Wireshark's initial RTT, the last SYN before the first segment with ACK and without SYN, to that one.
    """
    synack, ack, refusal = handshake.find("H"), handshake.find("A"), handshake.find("R")
    first = max(ack, refusal)
    begins = [
        handshake.rfind("S", 0, synack) if synack >= 0 else -1,
        handshake.rfind("H", 0, ack) if ack >= 0 else -1,
        handshake.rfind("S", 0, first) if first >= 0 else -1,
    ]
    return begins, [synack, ack, first]


def truth_of(plan: Plan) -> Array:
    """The flow table that a correct analyser makes of the planned packets, in order of first packet."""
    flows, packets = plan.flows, plan.packets
    begin, end = packets.starts[:-1], packets.starts[1:] - 1
    truth = np.zeros(len(begin), TRUTH)
    for name in ("source", "destination", "source_port", "destination_port", "protocol", "vni"):
        truth[name] = getattr(flows, name)
    truth["first_seen"], truth["last_seen"] = packets.time[begin], packets.time[end]
    length = frame_bytes(flows, packets)
    for name, own in (("source", ~packets.reverse), ("destination", packets.reverse)):
        truth[f"{name}_packets"] = np.add.reduceat(own, begin, dtype=np.int64)
        truth[f"{name}_bytes"] = np.add.reduceat(length * own, begin, dtype=np.int64)
        truth[f"{name}_payload_bytes"] = np.add.reduceat(packets.payload * own, begin, dtype=np.int64)
        truth[f"{name}_tcp_flags"] = np.bitwise_or.reduceat(packets.flags * own, begin)

    for name in ("syn_synack_rtt", "synack_ack_rtt", "handshake_rtt", "initial_rtt"):
        truth[name] = -1
    for number, handshake in enumerate(HANDSHAKES):
        rows = np.flatnonzero(plan.handshake == number)
        positions = zip(("syn_synack_rtt", "synack_ack_rtt", "initial_rtt"), *_rtt_positions(handshake), strict=True)
        for name, since, until in positions:
            if until >= 0:
                truth[name][rows] = packets.time[begin[rows] + until] - packets.time[begin[rows] + since]
        truth["syn_retransmissions"][rows] = handshake.count("S") - 1
        truth["synack_retransmissions"][rows] = max(handshake.count("H") - 1, 0)
    complete = truth["synack_ack_rtt"] >= 0
    truth["handshake_rtt"][complete] = (truth["syn_synack_rtt"] + truth["synack_ack_rtt"])[complete]
    truth["conn_state"] = plan.conn_state
    return truth[np.argsort(truth["first_seen"], kind="stable")]


def generate(
    kind: str,
    path: str | PathLike[str],
    *,
    packets: int,
    flows: int,
    seed: int = 1,
    seconds: float = 60.0,
    microseconds: bool = False,
    transport: str = "udp",
    vnis: tuple[int, ...] = VNIS,
    frame: int = 64,
) -> Array:
    """Write a capture of exactly `packets` packets in `flows` flows to `path` and return its truth, of dtype TRUTH.

    `seconds` (1 to 100) stretches the capture; it lasts at most 0.85 of them plus 5 s for late handshakes. With
    `microseconds` the file has µs timestamps and the truth whole µs, in ns. `transport` ("udp", "tcp") and `frame`
    (bytes of each, 64 to 1514) count for `small` and `colliding` only, `vnis` for `vxlan` only.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind of traffic is called {kind!r}: choose one of {', '.join(KINDS)}")
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"seconds must be 1 to {LONGEST}, so that no flow reaches an idle timeout of 120 s")
    if not SHORTEST <= frame <= LONGEST_FRAME:
        raise ValueError(f"a frame must have {SHORTEST} to {LONGEST_FRAME} bytes")
    rng = np.random.default_rng(seed)
    tick = 1000 if microseconds else 1
    if kind in ("small", "colliding"):
        protocol = {"udp": UDP, "tcp": TCP}[transport]
        plan = plan_small(rng, packets=packets, flows=flows, seconds=seconds, tick=tick, protocol=protocol, frame=frame)
        if kind == "colliding":
            make_collide(plan.flows, rng.spawn(1)[0])
    else:
        chosen = vnis if kind == "vxlan" else ()
        plan = plan_mix(rng, packets=packets, flows=flows, seconds=seconds, tick=tick, vnis=chosen)
    # The plan is in order of time within each flow: a stable sort keeps that where timestamps are equal.
    order = np.argsort(plan.packets.time, kind="stable")
    assembler = Assembler(plan.flows, plan.packets, rng, tick)
    magic = MICROSECOND_MAGIC if microseconds else NANOSECOND_MAGIC
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", magic, 2, 4, 0, 0, SNAP_LENGTH, LINK_TYPE_ETHERNET))
        for block in assembler.blocks(order):
            file.write(block.data)
    return truth_of(plan)


def main() -> None:
    """Generate one capture as the command line asks."""
    parser = argparse.ArgumentParser(description="Write a pcap file of synthetic traffic whose flow table is known.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("path", help="the pcap file to write")
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--flows", type=int, help="default: packets / 40; small, colliding: 100000")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help=f"stretch of the capture, 1 to {LONGEST}")
    parser.add_argument("--microseconds", action="store_true", help="µs timestamps instead of ns")
    parser.add_argument("--transport", choices=("udp", "tcp"), default="udp", help="for small and colliding")
    parser.add_argument("--frame", type=int, default=64, help="bytes of a frame, for the kinds small and colliding")
    parser.add_argument("--truth", help="the .npy file to write the truth to")
    arguments = parser.parse_args()
    many = arguments.kind in ("small", "colliding")
    default_flows = min(100_000, arguments.packets) if many else max(1, arguments.packets // 40)
    truth = generate(
        arguments.kind,
        arguments.path,
        packets=arguments.packets,
        flows=arguments.flows or default_flows,
        seed=arguments.seed,
        seconds=arguments.seconds,
        microseconds=arguments.microseconds,
        transport=arguments.transport,
        frame=arguments.frame,
    )
    if arguments.truth:
        np.save(arguments.truth, truth)


if __name__ == "__main__":
    main()
