"""Plan synthetic traffic: which flows there are and what every packet of them is, with numpy only.

A flow is spelled as a word of characters, one per packet: an opening (its handshake), a body (a rhythm, repeated) and
an ending. Upper case is the client, lower case the server, except in the opening:

    opening   S SYN   H SYN-ACK (server)   A ACK   R RST-ACK (server)
    body      D d data   A a bare ACK
    ending    F f FIN-ACK   A a ACK   R r RST-ACK
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from traffic_frames import (
    ACK,
    EPOCH,
    ETHERNET_BYTES,
    FIN,
    HEAD_BYTES,
    ICMP,
    IPV4_BYTES,
    NONE,
    PSH,
    RST,
    SYN,
    TCP,
    TRANSPORT_BYTES,
    UDP,
    Array,
    Flows,
    Head,
    Options,
    Packets,
)

SECOND = 1_000_000_000

# Handshakes and their share of the TCP flows.
HANDSHAKES = {
    "SHA": 0.915, "SSHA": 0.025, "SSSHA": 0.005, "SHHA": 0.015, "SHSHA": 0.010, "SSS": 0.010, "SR": 0.015, "SSR": 0.005,
}  # fmt: skip

# Endings of the established TCP flows: share of them, Zeek's conn_state.
ENDINGS = {"": (0.10, "S1"), "FfA": (0.52, "SF"), "fFa": (0.28, "SF"), "R": (0.05, "RSTO"), "r": (0.05, "RSTR")}

# Rhythms of the established flows: share of them, share of full segments and of medium ones (near 576 bytes) among
# their data. The rest is small. The first packet of a body is always client data.
RHYTHMS = {"ddA": (0.45, 0.44, 0.28), "DdA": (0.40, 0.20, 0.26), "DDa": (0.15, 0.44, 0.28), "Ddd": (0.0, 0.35, 0.30)}
DOWNLOAD, QUIC_RHYTHM = 0, 3
MEDIUM, SMALL = (430, 600), (6, 160)
"""Payload lengths in bytes, from (included) and to (excluded)."""

SERVICES = {"tls": 0.45, "http": 0.17, "other": 0.13, "dns": 0.15, "quic": 0.07, "ping": 0.03}
TLS, HTTP, OTHER, DNS, QUIC, PING = range(len(SERVICES))
SERVICE_PORT = np.array([443, 80, 0, 53, 443, 0], np.uint16)
OTHER_PORTS = np.array([7780, 8531, 9311, 12865, 30120], np.uint16)
"""Ports on which no dissector of tshark 4 claims plain text."""

IPV6_SHARE = 0.05
FLOWS_PER_CLIENT = 64
FIRST_CLIENT_PORT, CLIENT_PORTS = 50000, 4320
"""Ephemeral ports, 50000 to 54319: the widest range that no dissector of tshark 4 claims. As the step 67 times
FLOWS_PER_CLIENT is less than CLIENT_PORTS, the ports of one client all differ."""
SERVERS = 4000
CLIENT_NETWORK, SERVER_NETWORK = 10 << 24, 198 << 24 | 18 << 16
CLIENT_NETWORK_IPV6, SERVER_NETWORK_IPV6 = bytes.fromhex("20010db800000001"), bytes.fromhex("20010db800ff0000")


@dataclass
class Plan:
    """Flows, their packets, and what only the plan knows of them."""

    flows: Flows
    packets: Packets
    handshake: Array
    """Index into HANDSHAKES, -1 where there is none."""
    conn_state: Array


def _choose(rng: np.random.Generator, shares: Iterable[float], count: int) -> Array:
    """`count` random indexes with the given shares."""
    return np.searchsorted(np.cumsum(list(shares))[:-1], rng.random(count), side="right").astype(np.uint8)


def _letters(words: Iterable[str]) -> Array:
    """Words as rows of character codes, padded with spaces."""
    words = list(words)
    width = max(map(len, words))
    return np.frombuffer("".join(word.ljust(width) for word in words).encode(), np.uint8).reshape(len(words), width)


def _lengths(words: Iterable[str]) -> Array:
    return np.array([len(word) for word in words])


def _among(letter: Array, characters: bytes) -> Array:
    """Where `letter` is one of the characters."""
    table = np.zeros(256, bool)
    table[list(characters)] = True
    return np.asarray(table[letter])


def _addresses(is_ipv6: Array, network: int, network_ipv6: bytes, host: Array) -> Array:
    """16-byte addresses, ::ffff:(network + host) or network_ipv6::host."""
    address = np.zeros((len(host), 16), np.uint8)
    address[:, 10:12] = 0xFF
    address[is_ipv6] = np.frombuffer(network_ipv6.ljust(16, b"\0"), np.uint8)
    low = np.where(is_ipv6, host, network + host).astype(">u4")
    address[:, 12:] = low.view(np.uint8).reshape(-1, 4)
    return address


def _plan_flows(rng: np.random.Generator, service: Array, vnis: tuple[int, ...], ipv6_share: float) -> Flows:
    """Flows with different five-tuples; with VNIs, up to 1 % of the flows share theirs with one in another VNI."""
    count = len(service)
    is_ipv6 = (rng.random(count) < ipv6_share) & (service != PING)
    number = rng.permutation(count)
    client, turn = np.divmod(number, FLOWS_PER_CLIENT)
    # An echo flow has no port of its own, so each gets a client of its own.
    client = np.where(service == PING, (1 << 23) + number, client + 1)
    client_port = FIRST_CLIENT_PORT + (turn * 67 + client * 7919) % CLIENT_PORTS
    server = (SERVERS * rng.random(count) ** 3).astype(np.int64)
    server_port = SERVICE_PORT[service]
    server_port[service == OTHER] = rng.choice(OTHER_PORTS, int((service == OTHER).sum()))
    flows = Flows(
        source=_addresses(is_ipv6, CLIENT_NETWORK, CLIENT_NETWORK_IPV6, client),
        destination=_addresses(is_ipv6, SERVER_NETWORK, SERVER_NETWORK_IPV6, server + 1),
        source_port=np.where(service == PING, 8, client_port).astype(np.uint16),
        destination_port=server_port,
        protocol=np.select([service < DNS, service < PING], [TCP, UDP], ICMP).astype(np.uint8),
        is_ipv6=is_ipv6,
        vni=np.full(count, NONE, np.uint32),
        initial_sequence=rng.integers(0, 1 << 32, (count, 2), np.uint32),
    )
    if vnis:
        # Drawn aside, so that with and without tunnels the packets of a seed are the same.
        chosen = rng.spawn(1)[0].integers(0, len(vnis), count)
        alike = np.flatnonzero((service == TLS) & ~is_ipv6)[: 2 * max(2, count // 200)]
        pairs = alike[: len(alike) // 2 * 2].reshape(-1, 2) if len(vnis) > 1 else alike[:0].reshape(-1, 2)
        one, other = pairs[:, 0], pairs[:, 1]
        chosen[other] = (chosen[one] + 1) % len(vnis)
        for column in (flows.source, flows.destination, flows.source_port, flows.destination_port):
            column[other] = column[one]
        flows.vni = np.array(vnis, np.uint32)[chosen]
    return flows


def _heavy_tail(rng: np.random.Generator, count: int, total: int) -> Array:
    """`total` packets over `count` flows (Pareto, exponent 1.2), none with much more than 1 % of them."""
    weight = rng.pareto(1.2, count) + 0.3
    weight = np.minimum(weight, weight.sum() * 0.01)
    result = np.floor(weight / weight.sum() * total).astype(np.int64)
    result[: total - int(result.sum())] += 1
    return np.asarray(result)


def _plan_steps(rng: np.random.Generator, handshake: Array) -> Array:
    """ns from each handshake packet to the one after it, as [flow, step]; step 0 is 0."""
    count = len(handshake)
    server_rtt = np.minimum(rng.lognormal(np.log(20e6), 0.9, count), 400e6)
    client_rtt = np.minimum(rng.lognormal(np.log(2e6), 0.7, count), 100e6)
    letters = _letters(HANDSHAKES)
    steps = np.zeros((count, letters.shape[1]), np.int64)
    for step in range(1, letters.shape[1]):
        before, now = letters[handshake, step - 1], letters[handshake, step]
        # What was lost is sent again after the initial retransmission timeout of 1 s, then of 2 s (RFC 6298).
        timeout = np.where((step == 2) & (now == ord("S")) & (before == now), 2e9, 1e9) * rng.uniform(1.0, 1.02, count)
        answer = np.where(now == ord("A"), client_rtt, server_rtt) * rng.uniform(0.9, 1.1, count)
        steps[:, step] = np.where((now == ord("S")) | (now == before), timeout, answer)
    return steps


def _plan_payload(
    rng: np.random.Generator, flows: Flows, service: Array, rhythm: Array, timestamps: Array, flow: Array, letter: Array
) -> tuple[Array, Array]:
    """Payload length and head of every packet."""
    server = letter == ord("d")
    data = np.flatnonzero(server | (letter == ord("D")))
    server, flow = server[data], flow[data]
    of = service[flow]

    full = np.where(flows.is_ipv6, 1440, 1460) - np.where(timestamps, 12, 0)
    full[service == QUIC] = 1252
    shares = np.array([(full_share, full_share + medium_share) for _, full_share, medium_share in RHYTHMS.values()])
    pick = rng.random(len(data))
    # The requests of a download are small.
    pick[~server & (rhythm[flow] == DOWNLOAD)] = 1.0
    length = full[flow].astype(np.uint16)
    for lower, (low, high) in zip(shares[rhythm].T, (MEDIUM, SMALL), strict=True):
        members = np.flatnonzero(pick >= lower[flow])
        length[members] = rng.integers(low, high, len(members), np.uint16)

    head = np.where(of == TLS, Head.TLS_RECORD, Head.NONE).astype(np.uint8)
    head[of == HTTP] = np.where(server[of == HTTP], Head.HTTP_RESPONSE, Head.HTTP_REQUEST)
    head[of == DNS] = np.where(server[of == DNS], Head.DNS_RESPONSE, Head.DNS_QUERY)
    exact = (of == DNS) | (head == Head.HTTP_REQUEST)
    length = np.where(exact, HEAD_BYTES[head], np.maximum(length, HEAD_BYTES[head]))
    length[of == PING] = 56

    all_lengths, all_heads = np.zeros(len(letter), np.uint16), np.zeros(len(letter), np.uint8)
    all_lengths[data], all_heads[data] = length, head
    return all_lengths, all_heads


def _number(flows: Flows, packets: Packets) -> None:
    """Fill sequence and acknowledgment numbers and timestamp echoes: everything sent before has been received."""
    flow, begin = packets.flow, packets.starts[:-1]
    sizes = packets.payload.astype(np.uint32) + ((packets.flags & FIN) != 0)
    following = []
    for side in (0, 1):
        # uint32 arithmetic wraps as sequence numbers do.
        own = np.where(packets.reverse == side, sizes, np.uint32(0))
        sent = np.cumsum(own, dtype=np.uint32)
        sent -= own
        base = flows.initial_sequence[:, side] + np.uint32(1) - sent[begin]
        sent += base[flow]
        following.append(sent)
    packets.sequence = np.where(packets.reverse, following[1], following[0])
    packets.sequence -= (packets.flags & SYN) != 0
    packets.acknowledgment = np.where(packets.reverse, following[0], following[1])
    packets.acknowledgment[(packets.flags & ACK) == 0] = 0
    del following

    index = np.arange(len(flow), dtype=np.int32)
    heard = np.full(len(flow), -1, np.int32)
    for side in (0, 1):
        last = np.maximum.accumulate(np.where(packets.reverse == side, index, np.int32(-1)))
        heard = np.where(packets.reverse != side, last, heard)
    sent_ms = ((packets.time - EPOCH) // 1_000_000).astype(np.uint32)
    packets.echo = np.where(heard < begin[flow], np.uint32(NONE), sent_ms[heard])


def _finish(flows: Flows, starts: Array, flow: Array, time: Array, reverse: Array, flags: Array) -> Packets:
    """Packets without payload, options and numbers yet."""
    nothing = np.zeros(len(flow), np.uint8)
    empty = np.zeros(0, np.uint32)
    return Packets(starts, flow, time, reverse, flags, nothing.astype(np.uint16), nothing, nothing, empty, empty, empty)


def plan_mix(
    rng: np.random.Generator, *, packets: int, flows: int, seconds: float, tick: int, vnis: tuple[int, ...]
) -> Plan:
    """An internet mix of exactly `packets` packets in `flows` flows. `tick` is the clock's resolution in ns."""
    service = _choose(rng, SERVICES.values(), flows)
    table = _plan_flows(rng, service, vnis, IPV6_SHARE)
    is_tcp = service < DNS
    handshake = _choose(rng, HANDSHAKES.values(), flows)
    ending = _choose(rng, (share for share, _ in ENDINGS.values()), flows)
    rhythm = _choose(rng, (share for share, *_ in RHYTHMS.values()), flows)
    rhythm[~is_tcp] = QUIC_RHYTHM
    established = is_tcp & np.array([word.endswith("A") for word in HANDSHAKES])[handshake]

    opening = np.where(is_tcp, _lengths(HANDSHAKES)[handshake], 0)
    closing = np.where(established, _lengths(ENDINGS)[ending], 0)
    elastic = established | (service == QUIC)
    body = np.where(elastic, 2, 0)
    body[service == DNS] = _choose(rng, (0.05, 0.95), int((service == DNS).sum())) + 1
    body[service == PING] = 2 * rng.integers(1, 6, int((service == PING).sum()))
    spare = packets - int((opening + body + closing).sum())
    if spare < 0 or not elastic.any():
        raise ValueError(f"{packets} packets are too few for {flows} flows: give about 10 packets per flow or more")
    body[elastic] += _heavy_tail(rng, int(elastic.sum()), spare)

    starts = np.concatenate(([0], np.cumsum(opening + body + closing)))
    flow = np.repeat(np.arange(flows, dtype=np.uint32), np.diff(starts))
    position = (np.arange(packets) - starts[flow]).astype(np.int32)
    place = position - opening.astype(np.int32)[flow]
    letter = _letters(RHYTHMS)[rhythm[flow], place % 3]
    paired = ((service == DNS) | (service == PING))[flow]
    letter[paired] = np.frombuffer(b"Dd", np.uint8)[position[paired] % 2]
    letter[place == 0] = ord("D")
    in_opening = place < 0
    letter[in_opening] = _letters(HANDSHAKES)[handshake[flow[in_opening]], position[in_opening]]
    in_ending = np.flatnonzero(place >= body.astype(np.int32)[flow])
    letter[in_ending] = _letters(ENDINGS)[ending[flow[in_ending]], (place - body[flow])[in_ending]]

    reverse = np.where(in_opening, _among(letter, b"HR"), _among(letter, b"dafr"))
    flags = np.full(packets, ACK, np.uint8)
    for characters, value in ((b"S", SYN), (b"H", SYN | ACK), (b"Ff", FIN | ACK), (b"Rr", RST | ACK)):
        flags[_among(letter, characters)] = value

    # Handshakes keep their own steps; the rest of a flow is spread over its duration.
    gap = rng.standard_exponential(packets, np.float32)
    gap[in_opening | (position == 0)] = 0
    duration = rng.uniform(0.2, 0.5, flows) * seconds * SECOND
    dns = service == DNS
    duration[dns] = np.minimum(rng.lognormal(np.log(15e6), 0.8, int(dns.sum())), 500e6)
    total = np.add.reduceat(gap, starts[:-1], dtype=np.float64)
    time = np.maximum(gap * (duration / np.maximum(total, 1e-9))[flow], 1).astype(np.int64)
    time[in_opening] = _plan_steps(rng, handshake)[flow[in_opening], position[in_opening]]
    np.cumsum(time, out=time)
    begin = EPOCH + (rng.random(flows) * 0.35 * seconds * SECOND).astype(np.int64)
    time += (begin - time[starts[:-1]])[flow]
    time -= time % tick

    planned = _finish(table, starts, flow, time, reverse, flags)
    timestamps = is_tcp & (rng.random(flows) < 0.6)
    planned.options = np.where(timestamps, Options.TIMESTAMPS, Options.NONE).astype(np.uint8)[flow]
    syn = np.flatnonzero(flags & SYN)
    planned.options[syn] = np.where(timestamps[flow[syn]], Options.SYN_TIMESTAMPS, Options.SYN_PLAIN)
    planned.payload, planned.head = _plan_payload(rng, table, service, rhythm, timestamps, flow, letter)
    flags[(planned.payload > 0) & (planned.payload < 1400)] |= PSH
    refusal = in_opening & (letter == ord("R"))
    planned.options[refusal] = Options.NONE
    _number(table, planned)
    planned.sequence[refusal] = 0
    flags[~is_tcp[flow]] = 0

    refused = np.array([word.endswith("R") for word in HANDSHAKES])[handshake]
    answered = np.add.reduceat(reverse, starts[:-1], dtype=np.int64) > 0
    conn_state = np.select(
        [service == PING, ~is_tcp & answered, established, is_tcp & refused],
        ["OTH", "SF", np.array([state for _, state in ENDINGS.values()])[ending], "REJ"],
        "S0",
    )
    return Plan(table, planned, np.where(is_tcp, handshake.astype(np.int64), -1), conn_state)


def plan_small(
    rng: np.random.Generator, *, packets: int, flows: int, seconds: float, tick: int, protocol: int, frame: int
) -> Plan:
    """Frames of `frame` bytes each, in random order of flows: UDP, or TCP segments with data and no handshake."""
    if packets < flows:
        raise ValueError(f"{packets} packets are too few for {flows} flows: give one packet per flow or more")
    service = np.full(flows, OTHER)
    table = _plan_flows(rng, service, (), 0.0)
    table.protocol[:] = protocol
    turns = rng.permutation(np.arange(packets, dtype=np.uint32) % flows)
    # A flow's packets take, in order, the moments at which its turn comes.
    time = EPOCH + (np.argsort(turns, kind="stable") * (seconds * SECOND / packets)).astype(np.int64)
    time -= time % tick
    starts = np.concatenate(([0], np.cumsum(np.bincount(turns, minlength=flows))))
    flow = np.repeat(np.arange(flows, dtype=np.uint32), np.diff(starts))
    reverse = rng.random(packets) < 0.5
    reverse[starts[:-1]] = False
    planned = _finish(table, starts, flow, time, reverse, np.full(packets, PSH | ACK, np.uint8))
    planned.payload[:] = frame - ETHERNET_BYTES - IPV4_BYTES - TRANSPORT_BYTES[protocol]
    _number(table, planned)
    answered = np.add.reduceat(reverse, starts[:-1], dtype=np.int64) > 0
    if protocol == TCP:
        return Plan(table, planned, np.full(flows, -1), np.full(flows, "OTH"))
    planned.flags[:] = 0
    return Plan(table, planned, np.full(flows, -1), np.where(answered, "SF", "S0"))
