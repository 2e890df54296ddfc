"""What spanline says live behind every kind of mirror, while tcpdump writes the same frames beside it.

Oracle: tshark 4.0.17 on tcpdump's files; the account and the password of the login, which the lab drew.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import tshark
from tests.commands import run

if TYPE_CHECKING:
    from tests.lab.watching import Watched

pytestmark = pytest.mark.lab

Row = dict[str, Any]

# What a mirror puts around each frame, in octets, as far as spanline does not count it as the frame's.
OUTER = {"span": 0, "vxlan": 50, "client": 50, "doubled": 0, "datagrams": 50}
FLOWS = {**{name: name for name in OUTER}, "span by libpcap": "span"}
"""The watchers of flows, and whose capture tcpdump wrote beside each."""

CRAFTED = ["crafted", "crafted by libpcap"]
KINDS = ["gre", "erspan2", "erspan3", "geneve", "vlan", "qinq"]

ACCOUNT = re.compile(
    r"spanline: offered ([\d,]+) = read ([\d,]+) \+ dropped ([\d,]+); "
    r"read ([\d,]+) = decoded ([\d,]+) \+ undecodable ([\d,]+)(?:; filtered out ([\d,]+) of decoded)?"
)


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


def theirs(capture: Path, octets: int, choose: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The same, out of tshark's fields. Of a tunnelled frame the innermost layer's, `octets` of each left out."""
    names = ("ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport")
    more = ("frame.protocols", "frame.len", "tcp.len", "udp.length", "tcp.analysis.initial_rtt")
    counts: dict[tuple[Any, ...], Counter[str]] = {}
    times: dict[tuple[Any, ...], int] = {}
    first: dict[frozenset[Any], tuple[Any, ...]] = {}
    for row in tshark.fields(capture, f"(tcp or udp) and not icmp and not igmp and ({choose})", *names, *more):
        value = dict(zip((*names, *more), (one.split(",")[-1] for one in row), strict=True))
        transport = "tcp" if ":tcp" in value["frame.protocols"] else "udp"
        a = value["ip.src"], int(value[f"{transport}.srcport"])
        b = value["ip.dst"], int(value[f"{transport}.dstport"])
        protocol = {"tcp": 6, "udp": 17}[transport]
        flow = first.setdefault(frozenset([protocol, a, b]), (protocol, *a, *b))
        count = counts.setdefault((flow, a), Counter())
        count["packets"] += 1
        # A frame of ARP in a tunnel has no inner ends: there, the tunnel is the flow, with the whole frame.
        is_inner = ":ip:" in value["frame.protocols"].removeprefix("eth:ethertype:ip:") or not octets
        count["bytes"] += int(value["frame.len"]) - (octets if is_inner else 0)
        count["payload_bytes"] += int(value["tcp.len"]) if transport == "tcp" else int(value["udp.length"]) - 8
        if value["tcp.analysis.initial_rtt"]:
            seconds, _, fraction = value["tcp.analysis.initial_rtt"].partition(".")
            times[flow] = int(seconds) * 10**9 + int(fraction)
    found = {}
    for flow in first.values():
        sides = [counts.get((flow, end), Counter()) for end in (flow[1:3], flow[3:5])]
        found[flow] = (*((c["packets"], c["bytes"], c["payload_bytes"]) for c in sides), times.get(flow))
    return found


@pytest.mark.parametrize("name", FLOWS)
def test_flows_and_round_trip_times_are_tsharks(watched: Watched, name: str) -> None:
    place = FLOWS[name]
    expected = theirs(watched.captures[place], OUTER[place], "ip")
    found = ours(flows(watched, name))
    # tshark shows the time only on frames that it analyses further, of which a short flow may have none.
    for flow, (*_, time) in expected.items():
        if time is None and flow in found:
            found[flow] = (*found[flow][:2], None)
    assert found == expected
    assert sum(flow[4] == 80 for flow in found) == 3
    assert sum(time is not None for *_, time in found.values()) == (0 if name == "client" else 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CRAFTED)
def test_flows_inside_each_encapsulation_are_tsharks(watched: Watched, name: str, kind: str) -> None:
    from tests.lab.wrapped import CLIENTS, WRAPPINGS

    wrapping, client = WRAPPINGS[kind], CLIENTS[kind]
    rows = [row for row in flows(watched, name) if row["source"] == client]
    expected = theirs(watched.captures["crafted"], wrapping.octets, f"ip.addr == {client}")
    assert ours(rows) == expected
    assert [{column: row[column] for column in wrapping.columns} for row in rows] == [wrapping.columns] * 2
    assert sorted(flow[4] for flow in expected) == [23, 53]
    assert max(time or 0 for *_, time in expected.values()) > 0


@pytest.mark.parametrize("name", [*FLOWS, *CRAFTED])
def test_live_says_what_it_says_of_the_file(watched: Watched, name: str) -> None:
    """To the nanosecond, and in every column."""
    command = ("flows", watched.captures[FLOWS.get(name, "crafted")], "--format", "json", "--idle-timeout", "off")
    of_file = [row for row in json.loads(run(*command).stdout) if row["protocol"] in (6, 17)]
    if name == "datagrams":
        # The headers around the tunnel are made again from what the socket says, which knows no TTL.
        of_file = [row for row in of_file if row["vni"] is not None]
        assert [row for row in flows(watched, name) if row["vni"] is not None] == of_file
    else:
        assert flows(watched, name) == of_file


def accounts(watched: Watched) -> Iterator[tuple[str, list[int]]]:
    for name, (_, complaints) in watched.output.items():
        match = ACCOUNT.fullmatch(complaints.splitlines()[-1])
        assert match, f"{name}: {complaints}"
        yield name, [int((number or "0").replace(",", "")) for number in match.groups()]


def test_every_frame_is_accounted_for(watched: Watched) -> None:
    from tests.lab.watching import WATCHERS

    for name, (offered, read, dropped, read_again, decoded, undecodable, filtered) in accounts(watched):
        assert (offered, read, dropped) == (read_again, decoded + undecodable, 0), name
        assert filtered <= decoded
        frames = len(tshark.fields(watched.captures[WATCHERS[name][0]], "frame", "frame.number"))
        # tcpdump left out what is not IP; the switch asks for addresses.
        assert frames <= read <= frames + 40, name


def test_nobody_complains_and_all_end_well(watched: Watched) -> None:
    """A signal is how a live capture ends."""
    assert watched.codes == dict.fromkeys(watched.codes, 0)
    for name, (_, complaints) in watched.output.items():
        assert not re.search("lost|down|deleted|Traceback|rror", complaints), f"{name}: {complaints}"


@pytest.mark.parametrize(
    ("name", "place", "length", "choose", "asks"),
    [
        ("pings of Hyper-V", "span", 98, "ip.addr == 198.51.100.1", ("192.168.101.215", "198.51.100.1")),
        ("pings of OCI", "vxlan", 392, "ip.addr == 10.0.1.2 && icmp.type != 3", ("10.0.0.5", "10.0.1.2")),
    ],
)
def test_the_pings_of_the_tutorials(
    watched: Watched, name: str, place: str, length: int, choose: str, asks: tuple[str, str]
) -> None:
    """Each of the five asked and answered, in frames as long as tshark says."""
    from tests.lab.watching import FIELDS

    command = ["tshark", "-n", "-r", str(watched.captures[place]), *FIELDS]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert watched.output[name][0] == said
    rows = [line.split("\t") for line in said.splitlines()]
    pings = [(int(row[0]), row[3].split(",")[-1]) for row in rows if asks[1] in row[1] + row[2] and row[3] in "08"]
    assert pings == [(length, "8"), (length, "0")] * 5
    assert all(asks[0] in row[1] + row[2] for row in rows if row[0] == str(length))


def test_a_login_is_shown_while_it_goes_on(watched: Watched) -> None:
    """With the account, and without the password. Nothing was told to end yet."""
    for output in (watched.before_end["plaintext"], watched.output["plaintext"][0]):
        lines = [line for line in output.splitlines() if " telnet " in line]
        assert [(watched.account.name in line, "refused" in line, "accepted" in line) for line in lines[:2]] == [
            (True, True, False),
            (True, False, True),
        ]
    written = "".join(watched.output["plaintext"])
    hidden = [secret not in written for secret in (watched.account.password, watched.account.wrong)]
    assert hidden == [True, True]


def test_a_login_is_revealed_when_asked_for(watched: Watched) -> None:
    lines = [line for line in watched.before_end["revealed"].splitlines() if " telnet " in line]
    secrets = [watched.account.wrong, watched.account.password]
    shown = [secret in line for secret, line in zip(secrets, lines[:2], strict=True)]
    assert shown == [True, True]
