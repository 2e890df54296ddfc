"""`spanline inventory`: what contradicts, and what traffic tells of a network.

Oracle: inventories and traffic made by hand, of which the answer is plain; what is proposed is read again.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import spanline
from spanline.enrich import Enrichment, learning, read_inventory, relations
from spanline.enrich.learning import SIGHTING_DTYPE, Sightings
from spanline.stages.flows import Flows
from spanline.store import Store
from tests.commands import run
from tests.craft import Frame, arp, ethernet, ipv4, ipv6, udp, vlan
from tests.craft_files import pcap
from tests.craft_tunnels import vxlan

CONTRADICTIONS = """\
vms:
  - {name: a, addresses: [10.0.0.1, 10.0.9.1], macs: ["00:15:5d:00:00:01"], host: h1}
  - {name: b, addresses: [10.0.0.1], macs: ["00:15:5d:00:00:01"]}
  - {name: c, addresses: [10.0.0.1], vni: 7}
  - {name: d, addresses: [10.0.0.1], valid_to: 2020-01-01, vni: 7}
  - {name: e, addresses: [10.0.0.2], valid_to: 2020-01-01}
  - {name: f, addresses: [10.0.0.2], valid_from: 2020-01-01}
  - {name: a, host: h2}
  - {name: none, host: h1}
subnets:
  - {cidr: 10.0.0.0/24, name: x, gateway: 10.0.1.1}
  - {cidr: 10.0.0.0/24, name: y}
  - {cidr: 10.0.0.0/24, name: z, vni: 7, l2_network: missing}
l2_networks:
  - {name: l, vlan: 4, cidrs: [10.0.0.0/24]}
  - {name: m, vlan: 4, vni: 4}
  - {name: n, vni: 4}
hosts: [{name: h1, cluster: c1}, {name: h1, cluster: c2}]
east_west: [198.51.100.0/24]
internet: [198.51.100.0/24]
"""

SAID = [
    ("contradiction", "10.0.0.1 is of a and b", 3, 2),
    ("contradiction", "10.0.0.1 is of c and d", 5, 4),
    ("contradiction", "00:15:5d:00:00:01 is of a and b", 3, 2),
    ("contradiction", "a is on h1 and h2", 8, 2),
    ("contradiction", "10.0.0.0/24 is x and y", 12, 11),
    ("contradiction", "VLAN 4 is l and m", 16, 15),
    ("contradiction", "VNI 4 is m and n", 17, 16),
    ("contradiction", "h1 is in c1 and c2", 18, 18),
    ("contradiction", "the gateway 10.0.1.1 is not in 10.0.0.0/24", 11, None),
    ("contradiction", "198.51.100.0/24 is in east_west, too: it is internet", None, None),
    ("open", "none has no address: no flow is known to be its", 9, None),
    ("open", "h2 is named, and no row tells of it", 8, None),
    ("open", "missing is named, and no row tells of it", 13, None),
    ("open", "VMs have addresses in 10.0.9.0/24, which no subnet has", 2, None),
]


def test_check(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(CONTRADICTIONS)
    found = json.loads(run("inventory", "check", path, "--format", "json").stdout)
    assert [(one["kind"], one["what"], one["line"], one["other_line"]) for one in found] == SAID
    text = run("inventory", "check", path, width=80).stdout
    assert text.splitlines()[1].split() == ["vms", "8", "7", "3"]
    assert "10.0.0.1 is of a and b" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_check_of_what_is_right_and_of_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "right.yaml"
    path.write_text("vms: [{name: a, addresses: 10.0.0.1}]\n")
    assert run("inventory", "check", path).stdout == (
        "Holds  Rows  Different  At some times\nvms       1          1              0\n\n"
        "no contradictions\nnothing is left open\n"
    )
    path.write_text('vms: [{name: "\x1b[31m"}]\n')
    wrong = tmp_path / "\x1b[31mwrong.yaml"
    wrong.write_text("vms: [{name: a, vlan: b}, {vlan: c}]\n")
    said = run("inventory", "check", wrong, code=2).stderr.splitlines()
    assert [line.partition("wrong.yaml, ")[2] for line in said] == [
        "line 1, column 23: vms: vlan: 'b' is no VLAN; write 0 to 4094",
        "line 1, column 34: vms: vlan: 'c' is no VLAN; write 0 to 4094",
        "line 1: vms: a row without name; add name",
    ]
    assert "\x1b" not in "".join(said)


ROUTER = "00:1b:17:00:00:99"


def frame(source_mac: str, destination_mac: str, source: str, destination: str, tag: int | None = None) -> Frame:
    link = ethernet(source_mac, destination_mac)
    ip = ipv6 if ":" in source else ipv4
    return (link if tag is None else link / vlan(tag)) / ip(source, destination) / udp() / b"x"


NETWORK = [
    frame("00:15:5d:00:00:01", "00:15:5d:00:00:02", "10.0.0.11", "10.0.0.12", 5),
    frame("00:15:5d:00:00:02", "00:15:5d:00:00:01", "10.0.0.12", "10.0.0.11", 5),
    frame("00:15:5d:00:00:01", ROUTER, "10.0.0.11", "8.8.8.8", 5),
    frame(ROUTER, "00:15:5d:00:00:01", "10.0.0.1", "10.0.0.11", 5),
    frame(ROUTER, "00:15:5d:00:00:01", "10.7.7.7", "10.0.0.11", 5),
    frame("00:15:5d:00:00:01", "00:15:5d:00:00:02", "fd00::11", "fd00::12", 5),
    frame("02:42:ac:00:00:03", "33:33:00:00:00:01", "10.0.1.13", "224.0.0.251", 5),
    frame("3c:fd:fe:00:00:04", "ff:ff:ff:ff:ff:ff", "10.0.2.14", "10.0.2.255", 6),
    ethernet() / arp(),
]


def learned(tmp_path: Path, path: Path) -> tuple[str, Enrichment]:
    text = run("inventory", "learn", path).stdout
    (tmp_path / "learned.yaml").write_text(text)
    return text, Enrichment(read_inventory([str(tmp_path / "learned.yaml")]))


def test_learn_from_frames(tmp_path: Path) -> None:
    (tmp_path / "some.pcap").write_bytes(pcap(NETWORK))
    text, enrichment = learned(tmp_path, tmp_path / "some.pcap")
    made = relations(enrichment)
    vms = {row["name"]: (row["vlan"], len(row["mac_addresses"])) for row in made["vms"].to_pylist()}
    assert vms == {"10.0.0.11": (5, 1), "10.0.0.12": (5, 1), "10.0.1.13": (5, 1), "10.7.7.7": (None, 0)}
    assert "#   10.0.2.14  3c:fd:fe:00:00:04" in text
    assert "# no MAC was seen: it is behind a router" in text
    subnets = {row["name"]: (row["vlan"], row["gateway"]) for row in made["subnets"].to_pylist()}
    gateway = bytes(10) + b"\xff\xff\x0a\0\0\1"
    assert subnets["10.7.7.0/24"] == (None, None)
    assert subnets["10.0.0.0/23"] == (5, gateway)
    assert subnets["10.0.2.0/24"] == (6, None)
    assert {row["name"] for row in made["l2 networks"].to_pylist()} == {"vlan-5", "vlan-6"}


def test_learn_from_a_store(tmp_path: Path) -> None:
    (tmp_path / "some.pcap").write_bytes(pcap(NETWORK))
    flows = Flows()
    for _ in spanline.open([str(tmp_path / "some.pcap")]).run(flows):
        pass
    Store(tmp_path / "store", create=True).append(flows.tables()["flows"])
    _, enrichment = learned(tmp_path, tmp_path / "store")
    names = set(relations(enrichment)["vms"]["name"].to_pylist())
    assert names >= {"10.0.0.11", "10.0.0.12", "10.0.1.13", "10.7.7.7", "10.0.2.14", "fd00::12"}
    assert "8.8.8.8" not in names


@pytest.mark.parametrize(("vnis", "proposed"), [((7,), False), ((7, 8), True)])
def test_the_only_vni_may_be_the_mirrors(tmp_path: Path, vnis: tuple[int, ...], proposed: bool) -> None:
    outer = ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(50000, 4789)
    macs = "00:15:5d:00:00:01", "00:15:5d:00:00:02"
    frames = [outer / vxlan(vni) / frame(*macs, f"10.0.{vni}.11", f"10.0.{vni}.12") for vni in vnis]
    (tmp_path / "some.pcap").write_bytes(pcap(frames))
    text, _ = learned(tmp_path, tmp_path / "some.pcap")
    assert "10.0.7.11" in text
    assert ("vni" in text) is proposed


def test_tenants_with_the_same_addresses_stay_apart(tmp_path: Path) -> None:
    outer = ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(50000, 4789)
    macs = "00:15:5d:00:00:01", "00:15:5d:00:00:02"
    frames = [outer / vxlan(vni) / frame(*macs, "10.0.0.11", "10.0.0.12") for vni in (7, 8)]
    (tmp_path / "some.pcap").write_bytes(pcap(frames))
    text, enrichment = learned(tmp_path, tmp_path / "some.pcap")
    assert set(relations(enrichment)["vms"]["name"].to_pylist()) == {
        *("10.0.0.11 (VNI 7)", "10.0.0.11 (VNI 8)", "10.0.0.12 (VNI 7)", "10.0.0.12 (VNI 8)"),
    }
    assert set(relations(enrichment)["l2 networks"]["name"].to_pylist()) == {"vni-7", "vni-8"}
    assert text.count("cidr: 10.0.0.0/24") == 2
    assert 'name: "10.0.0.0/24 (VNI 7)"' in text


def test_nothing_is_proposed_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "some.pcap").write_bytes(pcap([ethernet() / ipv4("8.8.8.8", "9.9.9.9") / udp()]))
    text = run("inventory", "learn", tmp_path / "some.pcap").stdout
    assert text == "# Proposed by what was seen: write names instead of addresses.\n"


def test_sightings_are_bounded_and_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves are the whole; beyond the most, new ones are counted."""
    rows = np.zeros(100, SIGHTING_DTYPE)
    rows["address"][:, 15] = np.arange(100) % 60
    whole, first, second = Sightings(), Sightings(), Sightings()
    for one, some in ((whole, rows), (first, rows[:50]), (second, rows[50:])):
        one.add(some["address"], some["mac"], some["vlan"], some["vni"])
    first.merge(second)
    assert len(whole.rows) == 60
    assert first.rows.tobytes() == whole.rows.tobytes()
    again = Sightings()
    again.restore(first.state())
    assert again.tables()["sightings"].equals(whole.tables()["sightings"])
    monkeypatch.setattr(learning, "MOST_SIGHTINGS", 40)
    few = Sightings()
    few.add(rows["address"], rows["mac"], rows["vlan"], rows["vni"])
    assert (len(few.rows), few.left_out) == (40, 20)
