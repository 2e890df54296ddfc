"""Makes a store of many flows over two weeks, as a company's mirror would fill one, and says how fast and how large.

    python benchmarks/store_flows.py FOLDER --flows 100000000

Beside it comes FOLDER.yaml, the inventory of the company: its servers, most of which are virtual machines, and its
subnets, of which some are unknown. The store has the counters of its switches, too.

There are offices and servers in subnets of 10.0.0.0/8, 2 % of IPv6, thousands of servers in the internet that are
visited in Zipf's manner, scanners, name queries, few logins by ssh, telnet and rdp, and days and nights. Times are of
whole ns, sizes and round trips are lognormal: what does not compress in real flows does not compress here either.
"""

from __future__ import annotations

import argparse
import ipaddress
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml

from spanline.arrow import chosen, column, fixed_binary, labels, strings, table_of
from spanline.schema import CONN_STATES, END_REASONS, FLOW, TCP_FLAGS
from spanline.store import Store
from spanline.store.counters import COUNTED, READING, add

Array = npt.NDArray[Any]

BEGIN = 1_767_571_200 * 10**9  # Monday, 2026-01-05, 00:00 UTC
HOURS = 14 * 24
SECOND, HOUR = 10**9, 3600 * 10**9

# (port, IP protocol, application, share of the flows, where the server stands); INWARD: the client is outside, and
# AMONG, UPWARD: the client is a server, too, and talks to others inside or outside
INSIDE, OUTSIDE, INWARD, AMONG, UPWARD = range(5)
SERVICES = (
    *((443, 6, "tls", 0.31, OUTSIDE), (443, 17, "quic", 0.08, OUTSIDE), (80, 6, "http", 0.04, OUTSIDE)),
    *((53, 17, "dns", 0.15, INSIDE), (53, 17, "dns", 0.03, OUTSIDE), (443, 6, "tls", 0.10, INSIDE)),
    *((5432, 6, "pgsql", 0.05, AMONG), (22, 6, "ssh", 0.002, AMONG), (443, 6, "tls", 0.03, UPWARD)),
    *((445, 6, "smb2", 0.04, INSIDE), (389, 6, "ldap", 0.03, INSIDE), (88, 6, "kerberos", 0.02, INSIDE)),
    *((1433, 6, "tds", 0.03, INSIDE), (8080, 6, "http", 0.03, INSIDE), (161, 17, "snmp", 0.02, INSIDE)),
    *((22, 6, "ssh", 0.004, INSIDE), (3389, 6, "rdp", 0.005, INSIDE), (23, 6, "telnet", 0.001, INSIDE)),
    *((22, 6, "ssh", 0.012, INWARD), (23, 6, None, 0.006, INWARD), (3389, 6, None, 0.005, INWARD)),
    (8, 1, None, 0.005, INSIDE),
)
CLIENTS, SERVERS, REMOTE, SCANNERS = 6000, 800, 60_000, 20_000
OFFICES, RACKS, HOSTS = 40, 16, 24
KNOWN_OFFICES = 36
"""So many of the offices' subnets are in the inventory: of the others, only the frames' VLAN says something."""
OWN_IPV6 = "2001:db8:1::/48"
SWITCHES, PORTS, READ_EVERY = 4, 48, 300
_HISTORIES = ("", "ShADadFf", "ShADadR", "ShADadfF", "S", "Sr", "Dd", "D", "ShADad")
_STATE = {name: number for number, name in enumerate(CONN_STATES)}


def _mapped(ipv4: Array) -> Array:
    """IPv4 addresses as 16 bytes."""
    octets = np.zeros((len(ipv4), 16), np.uint8)
    octets[:, 10:12] = 0xFF
    octets[:, 12:] = ipv4.astype(">u4").view(np.uint8).reshape(-1, 4)
    return octets


class Company:
    """Who there is: the same for every `seed`."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        offices = rng.integers(1, OFFICES + 1, CLIENTS)
        self.clients = _mapped((10 << 24) + (offices << 8) + rng.integers(10, 250, CLIENTS))
        self.servers = _mapped(
            (10 << 24) + (100 << 16) + (rng.integers(0, RACKS, SERVERS) << 8) + np.arange(SERVERS) % 250
        )
        # Not 10, 100, 127, 169, 172 or 192, where private networks are.
        first = rng.choice([n for n in range(2, 220) if n not in (10, 100, 127, 169, 172, 192)], REMOTE + SCANNERS)
        others = _mapped((first.astype(np.int64) << 24) + rng.integers(1, 1 << 24, REMOTE + SCANNERS))
        self.remote, self.scanners = others[:REMOTE], others[REMOTE:]
        for owners, prefix in ((self.clients, "20010db80001"), (self.remote, "2a001450400c")):
            is_ipv6 = rng.random(len(owners)) < 0.05
            owners[is_ipv6, 6:] = rng.integers(0, 256, (int(is_ipv6.sum()), 10), np.uint8)
            owners[is_ipv6, :6] = list(bytes.fromhex(prefix))
        self.distance = rng.lognormal(np.log(18e6), 0.9, REMOTE + SCANNERS)
        """ns to a remote end and back."""


def _zipf(rng: np.random.Generator, among: int, count: int) -> Array:
    """Indices below `among`, the first ones often."""
    found: Array = np.minimum(np.exp(rng.random(count) * np.log(among + 1)).astype(np.int64) - 1, among - 1)
    return found


def flows(company: Company, seed: int, begin: int, count: int) -> pa.Table:
    """`count` flows (schema.FLOW without community_id) that begin in the hour after `begin`, by first_seen."""
    rng = np.random.default_rng(seed)
    service = np.searchsorted(np.cumsum([s[3] for s in SERVICES])[:-1], rng.random(count), side="right")
    port, protocol, where = (np.array([s[n] for s in SERVICES])[service] for n in (0, 1, 4))
    tcp, outside, inward = protocol == 6, np.isin(where, (OUTSIDE, UPWARD)), where == INWARD
    client, server = _zipf(rng, CLIENTS, count), _zipf(rng, SERVERS, count)
    remote, scanner = _zipf(rng, REMOTE, count), _zipf(rng, SCANNERS, count)
    source = company.clients[client]
    source[inward] = company.scanners[scanner[inward]]
    by_server = np.isin(where, (AMONG, UPWARD))
    source[by_server] = company.servers[(server[by_server] * 7 + client[by_server]) % SERVERS]
    destination = company.servers[server]
    destination[outside] = company.remote[remote[outside]]

    first = np.sort(begin + rng.integers(0, HOUR, count))
    answered = rng.random(count) < np.where(inward, 0.15, 0.97)
    established = tcp & answered
    distance = np.select([outside, inward], [company.distance[remote], company.distance[REMOTE + scanner]], 4e5)
    to_server = (distance * rng.lognormal(0, 0.15, count)).astype(np.int64)
    to_client = (3e5 * rng.lognormal(0, 0.4, count)).astype(np.int64)
    lasts = (rng.lognormal(np.log(2e9), 2.2, count) * np.where(tcp, 1, 0.02)).astype(np.int64)
    lasts = np.where(answered, np.minimum(lasts, 1800 * SECOND) + to_server + to_client, rng.choice(4, count) * SECOND)

    full = np.where(answered, rng.lognormal(np.log(np.where(tcp, 5, 1)), np.where(tcp, 1.4, 0.3)), 0).astype(np.uint64)
    down = np.where(answered, rng.lognormal(np.log(np.where(tcp, 7, 1)), np.where(tcp, 1.5, 0.3)), 0).astype(np.uint64)
    packets = {"source": full + np.where(tcp, 3, 1).astype(np.uint64), "destination": down}
    packets["destination"] = np.where(established, down + 3, np.where(answered, np.maximum(down, 1), 0)).astype(
        np.uint64
    )
    sizes = {"source": rng.lognormal(5.2, 1.0, count), "destination": rng.lognormal(6.3, 0.8, count)}
    header = np.where(tcp, np.where(rng.random(count) < 0.6, 66, 54), 42).astype(np.uint64)

    reset = established & (rng.random(count) < 0.08)
    state = np.select(
        [reset, established, tcp, answered], [_STATE["RSTO"], _STATE["SF"], _STATE["S0"], _STATE["SF"]], 0
    )
    state[~tcp & ~answered] = _STATE["S0"]
    history = np.select([reset, established, tcp, answered], [2, rng.choice((1, 3, 8), count), 4, 6], 7)
    again = rng.random(count) < 0.02
    columns: dict[str, pa.Array] = {
        "first_seen": column(first),
        "last_seen": column(first + lasts),
        "source": fixed_binary(source),
        "destination": fixed_binary(destination),
        "source_port": column(np.where(protocol == 1, 8, rng.integers(32768, 61000, count)).astype(np.uint16)),
        "destination_port": column(np.where(protocol == 1, 0, port).astype(np.uint16)),
        "protocol": column(protocol.astype(np.uint8)),
        "vlan": column(np.where(outside, 1100, 1100 + server % 12).astype(np.uint16), inward),
        "vni": column(np.zeros(count, np.uint32), np.ones(count, np.bool_)),
        "syn_synack_rtt": column(to_server, ~established),
        "synack_ack_rtt": column(to_client, ~established),
        "handshake_rtt": column(to_server + to_client, ~established),
        "initial_rtt": column(to_server + to_client, ~established),
        "syn_retransmissions": column(np.where(tcp & again, 1, 0).astype(np.uint16)),
        "synack_retransmissions": column(np.zeros(count, np.uint16)),
        "syn_ambiguous": column(established & again),
        "conn_state": labels(state, CONN_STATES),
        "history": chosen(_HISTORIES, history),
        "application": strings([s[2] for s in SERVICES]).take(pa.array(service)),
        "foreign_port": column(np.zeros(count, np.bool_), ~answered | inward),
        "end_reason": labels(
            np.where(established, END_REASONS.index("closed"), END_REASONS.index("idle")), END_REASONS
        ),
    }
    silent = {"source": np.zeros(count, np.bool_), "destination": packets["destination"] == 0}
    ends = rng.integers(0, np.maximum(lasts // 20, 1))
    last_is_source = rng.random(count) < 0.5
    for side, late in (("source", 0), ("destination", to_server)):
        number, none = packets[side], silent[side]
        payload = (np.where(tcp, np.maximum(number, 3) - 3, number) * sizes[side].astype(np.uint64)).astype(np.uint64)
        last = first + np.where(last_is_source == (side == "source"), lasts, lasts - ends)
        columns |= {
            f"{side}_packets": column(number),
            f"{side}_payload_bytes": column(payload),
            f"{side}_bytes": column(payload + number * header),
            f"{side}_tcp_flags": column(np.where(tcp & ~none, np.where(reset, 0x1E, 0x1B), 0).astype(np.uint16)),
            f"{side}_first_seen": column(first + late, none),
            f"{side}_last_seen": column(np.maximum(last, first + late), none),
            f"{side}_ttl_min": column(np.where(outside | inward, 50 + remote % 12, 64).astype(np.uint8), none),
            f"{side}_ttl_max": column(np.where(outside | inward, 50 + remote % 12, 64).astype(np.uint8), none),
            f"{side}_retransmissions": column(
                np.where(again & established, rng.poisson(2, count), 0).astype(np.uint32)
            ),
        }
        counts = {
            "fin": established & ~reset,
            "syn": tcp & ~none,
            "rst": reset & (side == "source"),
            "ack": np.where(established, number - (side == "source"), 0),
            "psh": np.where(
                established, np.minimum(number, 1 + number * rng.integers(20, 60, count).astype(np.uint64) // 100), 0
            ),
        }
        for flag in TCP_FLAGS:
            columns[f"{side}_{flag}_packets"] = column(np.asarray(counts.get(flag, np.zeros(count)), np.uint32))
    return table_of([one for one in FLOW if one.name != "community_id"], columns)


def inventory(company: Company) -> dict[str, Any]:
    """What `spanline query --inventory` is told of the company. One server in eight is no virtual machine."""
    vms = []
    addresses = [ipaddress.ip_address(address[12:].tobytes()) for address in company.servers]
    for n, address in enumerate(addresses):
        if n % 8 != 7 and address not in addresses[:n]:
            rack = address.packed[2]
            vm: dict[str, Any] = {"name": f"server-{n:03}", "addresses": str(address), "host": f"hv-{n % HOSTS:02}"}
            vm |= {"default_gateway": f"10.100.{rack}.254", "vcpus": 2 << n % 4, "memory": f"{4 << n % 4}GB"}
            vms.append(vm | {"port_group": f"rack-{rack}"})
    offices = [
        {"cidr": f"10.0.{n}.0/24", "name": f"office-{n}", "vlan": 1100 + n % 12} for n in range(1, KNOWN_OFFICES + 1)
    ]
    racks = [{"cidr": f"10.100.{n}.0/24", "name": f"rack-{n}", "vlan": 1200 + n} for n in range(RACKS)]
    ports = [{"switch": switch, "name": port} for switch in range(SWITCHES) for port in range(PORTS)]
    return {
        "vms": vms,
        "subnets": [*offices, *racks],
        "hosts": [{"name": f"hv-{n:02}", "cluster": f"cluster-{n % 3}"} for n in range(HOSTS)],
        "switch_ports": [{name: str(value) for name, value in one.items()} for one in ports],
        "east_west": [OWN_IPV6],
    }


def readings(seed: int) -> pa.Table:
    """Of all ports of the switches each READ_EVERY seconds (counters.READING); one switch starts again on the way."""
    rng = np.random.default_rng(seed)
    times = np.arange(0, HOURS * 3600, READ_EVERY)
    ports = SWITCHES * PORTS
    speed = rng.lognormal(20, 1.5, ports)
    columns: dict[str, pa.Array] = {"time": column(np.repeat(BEGIN + times * SECOND, ports))}
    for name, of in (("switch", np.arange(ports) // PORTS), ("port", np.arange(ports) % PORTS)):
        columns[name] = chosen(["", *(str(n) for n in range(PORTS))], np.tile(of + 1, len(times)))
    for name, each in zip(COUNTED, (1.0, 1.0, 1e-3, 1e-3, 1e-9, 1e-8), strict=True):
        total = np.cumsum((speed * each * rng.uniform(0.5, 1.5, (len(times), ports))).astype(np.int64), axis=0)
        total[len(times) * 9 // 10 :, :PORTS] -= total[len(times) * 9 // 10, :PORTS]
        columns[name] = column(total.reshape(-1))
    return table_of(READING, columns)


def per_hour(total: int) -> Array:
    """How many of `total` flows begin in each hour: much in the office hours of weekdays, little at night."""
    hour = np.arange(HOURS)
    day = np.exp(-(((hour % 24) - 13.5) ** 2) / 18)
    share = 0.25 + day * np.where(hour // 24 % 7 < 5, 1.0, 0.25)
    return np.diff(np.round(np.concatenate([[0], np.cumsum(share)]) / share.sum() * total).astype(np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--flows", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    store = Store(options.folder, create=True)
    company = Company(options.seed)
    wall = cpu = 0.0
    with store.writing() as writer:
        for hour, count in enumerate(per_hour(options.flows).tolist()):
            made = flows(company, options.seed * HOURS + hour, BEGIN + hour * HOUR, count)
            began = time.perf_counter(), time.process_time()
            writer.write(made)
            writer.commit()
            wall, cpu = wall + time.perf_counter() - began[0], cpu + time.process_time() - began[1]
    add(store.path, readings(options.seed))
    Path(f"{options.folder}.yaml").write_text(yaml.safe_dump(inventory(company), sort_keys=False), encoding="utf-8")
    segments = store.state().segments.values()
    octets = sum(segment.size for segment in segments)
    print(
        f"{writer.rows:,} flows in {len(segments):,} segments, {octets / writer.rows:.1f} bytes a flow; written, on "
        f"the disk, at {writer.rows / cpu:,.0f} flows per second of one core, {writer.rows / wall:,.0f} by the clock"
    )


if __name__ == "__main__":
    main()
