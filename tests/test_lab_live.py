"""What spanline says live behind every kind of mirror, while tcpdump writes the same frames beside it.

Oracle: tshark 4.0.17 on tcpdump's files; the account and the password of the login, which the lab drew.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import tshark
from tests.commands import run
from tests.lab.account import account

if TYPE_CHECKING:
    from tests.lab.watching import Watched

pytestmark = pytest.mark.lab

Row = dict[str, Any]

# What a mirror puts around each frame, in octets, as far as spanline does not count it as the frame's.
OUTER = {"span": 0, "vxlan": 50, "one-way": 50, "doubled": 0, "datagrams": 50}
FLOWS = {**{name: name for name in OUTER}, "span by libpcap": "span"}
"""The watchers of flows, and whose capture tcpdump wrote beside each."""

CRAFTED = ["crafted", "crafted by libpcap"]
KINDS = ["plain", "vxlan", "gre", "erspan2", "erspan3", "geneve", "vlan", "qinq"]

STAMPS = 5_000_000
"""Nanoseconds between two sockets' times of the same frame, on a machine that has other things to do, too."""


def flows(watched: Watched, name: str) -> list[Row]:
    """The flows of TCP and UDP that were shown."""
    rows: list[Row] = json.loads(watched.output[name][0])
    return [row for row in rows if row["protocol"] in (6, 17)]


def ends(row: Row) -> tuple[Any, ...]:
    return (row["protocol"], row["source"], row["source_port"], row["destination"], row["destination_port"])


def ours(rows: list[Row]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Packets, octets and payload of each direction, and the initial RTT in ns, by the ends of a flow."""
    found = {}
    for row in rows:
        sides = [
            tuple(row[f"{side}_{what}"] for what in ("packets", "bytes", "payload_bytes"))
            for side in ("source", "destination")
        ]
        assert ends(row) not in found
        found[ends(row)] = (*sides, row["initial_rtt"])
    return found


def counts(found: dict[tuple[Any, ...], tuple[Any, ...]]) -> dict[tuple[Any, ...], list[Any]]:
    """Without the time."""
    return {flow: sides for flow, (*sides, _) in found.items()}


def theirs(capture: Path, octets: int, choose: str, link: int = 0) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The same, out of tshark's fields. Of a tunnelled frame the innermost layer's, `octets` left out, else `link`."""
    names = ("ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport")
    more = ("frame.protocols", "frame.len", "tcp.len", "udp.length", "tcp.analysis.initial_rtt")
    sums: dict[tuple[Any, ...], Counter[str]] = {}
    times: dict[tuple[Any, ...], int] = {}
    first: dict[frozenset[Any], tuple[Any, ...]] = {}
    for row in tshark.fields(capture, f"(tcp or udp) and not icmp and not igmp and ({choose})", *names, *more):
        value = dict(zip((*names, *more), (one.split(",")[-1] for one in row), strict=True))
        transport = "tcp" if ":tcp" in value["frame.protocols"] else "udp"
        a = value["ip.src"], int(value[f"{transport}.srcport"])
        b = value["ip.dst"], int(value[f"{transport}.dstport"])
        protocol = {"tcp": 6, "udp": 17}[transport]
        flow = first.setdefault(frozenset([protocol, a, b]), (protocol, *a, *b))
        count = sums.setdefault((flow, a), Counter())
        count["packets"] += 1
        # A frame of ARP in a tunnel has no inner ends: there, the tunnel is the flow, with the whole frame.
        is_inner = ":ip:" in value["frame.protocols"].removeprefix("eth:ethertype:ip:") or not octets
        count["bytes"] += int(value["frame.len"]) - (octets if is_inner else link)
        count["payload_bytes"] += int(value["tcp.len"]) if transport == "tcp" else int(value["udp.length"]) - 8
        if value["tcp.analysis.initial_rtt"]:
            seconds, _, fraction = value["tcp.analysis.initial_rtt"].partition(".")
            times[flow] = int(seconds) * 10**9 + int(fraction)
    found = {}
    for flow in first.values():
        sides = [sums.get((flow, end), Counter()) for end in (flow[1:3], flow[3:5])]
        found[flow] = (*((c["packets"], c["bytes"], c["payload_bytes"]) for c in sides), times.get(flow))
    return found


@pytest.mark.parametrize("name", FLOWS)
def test_flows_and_round_trip_times_are_tsharks(watched: Watched, name: str) -> None:
    """Of TCP's own frames Linux stamps no time before they come to a socket: to tcpdump's and spanline's one after the
    other. Where they were stamped before, below, the times are equal."""
    place = FLOWS[name]
    # A socket for datagrams does not know of Ethernet.
    expected = theirs(watched.captures[place], OUTER[place], "ip", link=14 if name == "datagrams" else 0)
    found = ours(flows(watched, name))
    times = {flow: (found[flow][2], time) for flow, (*_, time) in expected.items() if time is not None}
    assert {flow: sides for flow, (*sides, _) in found.items()} == {
        flow: sides for flow, (*sides, _) in expected.items()
    }
    assert len(times) == sum(flow[0] == 6 for flow in found) == 4
    assert all(abs(our_time - their_time) < STAMPS for our_time, their_time in times.values()), times


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CRAFTED)
def test_flows_inside_each_encapsulation_are_tsharks(watched: Watched, name: str, kind: str) -> None:
    from tests.lab.wrapped import CLIENTS, WRAPPINGS

    wrapping, client = WRAPPINGS[kind], CLIENTS[kind]
    rows = [row for row in flows(watched, name) if row["source"] == client]
    expected = theirs(watched.captures["crafted"], wrapping.octets, f"ip.addr == {client}")
    if name == "crafted by libpcap":
        # It gives microseconds.
        for row in rows:
            (time,) = (time for flow, (*_, time) in expected.items() if flow == ends(row))
            if time is not None and abs(row["initial_rtt"] - time) < 1000:
                row["initial_rtt"] = time
    assert ours(rows) == expected
    assert [{column: row[column] for column in wrapping.columns} for row in rows] == [wrapping.columns] * 2
    assert sorted(flow[4] for flow in expected) == [23, 53]
    assert max(time or 0 for *_, time in expected.values()) > 0


def test_live_says_what_it_says_of_the_file(watched: Watched) -> None:
    """To the nanosecond, and in every column."""
    of_file = run("flows", watched.captures["crafted"], "--format", "json", "--idle-timeout", "off").stdout
    rows = json.loads(watched.output["crafted"][0])
    assert rows == json.loads(of_file)
    assert len(rows) >= 2 * len(KINDS)


def test_every_frame_is_accounted_for(watched: Watched) -> None:
    from tests.lab.watching import WATCHERS

    frames = {name: len(tshark.fields(path, "frame", "frame.number")) for name, path in watched.captures.items()}
    for name, (_, complaints) in watched.output.items():
        found = account(complaints)
        assert (found.offered, found.dropped) == (found.read, 0), name
        # tcpdump left out what is not IP; the switch asks for addresses.
        of_ip = frames[WATCHERS[name][0]]
        assert of_ip <= found.read <= of_ip + 40, name


def test_nobody_complains_and_all_end_well(watched: Watched) -> None:
    """A signal is how a live capture ends."""
    assert watched.codes == dict.fromkeys(watched.codes, 0)
    for name, (_, complaints) in watched.output.items():
        assert not re.search("lost|down|deleted|Traceback|rror", complaints), f"{name}: {complaints}"


@pytest.mark.parametrize(
    ("name", "place", "length", "source", "destination"),
    [
        ("pings of Hyper-V", "span", "98", "192.168.101.215", "198.51.100.1"),
        ("pings of OCI", "vxlan", "392", "10.0.0.5", "10.0.1.2"),
    ],
)
def test_the_pings_of_the_tutorials(
    watched: Watched, name: str, place: str, length: str, source: str, destination: str
) -> None:
    """Each of the five asked and answered, in frames as long as tshark says. Of what two processors bring at the same
    moment, each socket has an order of its own."""
    from tests.lab.watching import FIELDS

    command = ["tshark", "-n", "-r", str(watched.captures[place]), *FIELDS]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    shown = watched.output[name][0].splitlines()
    assert sorted(shown) == sorted(said.splitlines())
    rows = [tuple(one.split(",")[-1] for one in line.split("\t")) for line in shown]
    pings = Counter(row for row in rows if set(row[1:3]) == {source, destination} and row[3] in ("8", "0"))
    assert pings == {(length, source, destination, "8"): 5, (length, destination, source, "0"): 5}


def logins(output: str) -> list[str]:
    """What is shown of each login with telnet, of two lines the second first: account and secret, then the outcome."""
    lines = output.splitlines()
    return [f"{under} {line}" for line, under in pairwise(lines) if " telnet " in line and ":23 " in line]


def test_a_login_is_shown_while_it_goes_on(watched: Watched) -> None:
    """With the account, and without the password. Nothing was told to end yet."""
    for output in (watched.before_end["plaintext"], watched.output["plaintext"][0]):
        shown = logins(output)
        assert [f" {watched.account.name}: " in one for one in shown] == [True, True]
        assert [one.split()[-1] for one in shown] == ["refused", "accepted"]
    written = "".join(watched.output["plaintext"])
    hidden = [secret not in written for secret in (watched.account.password, watched.account.wrong)]
    assert hidden == [True, True]


def test_a_login_is_revealed_when_asked_for(watched: Watched) -> None:
    secrets = [watched.account.wrong, watched.account.password]
    shown = [secret in one for secret, one in zip(secrets, logins(watched.output["revealed"][0]), strict=True)]
    assert shown == [True, True]
