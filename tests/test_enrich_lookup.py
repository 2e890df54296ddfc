"""What is known of addresses: VMs, subnets, L2 networks, by address, VLAN, VNI and time.

Oracle: the rules of docs/inventory.md, gone through row by row with the standard library's ipaddress; inventories made
by hand, of which the answer is plain.
"""

from __future__ import annotations

import ipaddress
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanline.enrich import COLUMNS, Enrichment, Inventory, relations
from spanline.enrich.inventory import Row
from spanline.enrich.prefixes import ALWAYS, Frames, Prefixes, Scope
from spanline.schema import NO_TUNNEL_ID, NO_VLAN


def octets(*addresses: Any) -> np.ndarray:
    packed = [ipaddress.ip_address(one).packed for one in addresses]
    mapped = [one if len(one) == 16 else bytes(10) + b"\xff\xff" + one for one in packed]
    return np.frombuffer(b"".join(mapped), np.uint8).reshape(-1, 16)


def vm(name: str, *addresses: str, **values: Any) -> Row:
    return Row({"name": name, "addresses": tuple(map(ipaddress.ip_address, addresses)), **values})


def subnet(cidr: str, **values: Any) -> Row:
    return Row({"cidr": ipaddress.ip_network(cidr), **values})


def network(name: str, *cidrs: str, **values: Any) -> Row:
    return Row({"name": name, **({"cidrs": tuple(map(ipaddress.ip_network, cidrs))} if cidrs else {}), **values})


def known(
    inventory: Inventory,
    column: str,
    address: str,
    vlan: int = NO_VLAN,
    vni: int = NO_TUNNEL_ID,
    time: int | None = None,
) -> Any:
    table = Enrichment(inventory).look_up(
        octets(address),
        (column,),
        vlans=np.array([vlan], np.uint16),
        vnis=np.array([vni], np.uint32),
        times=None if time is None else np.array([time], np.int64),
    )
    return table[column][0].as_py()


TENANTS = Inventory(
    {
        "vms": [
            vm("plain", "10.0.0.1", vlan=5),
            vm("red", "10.0.0.2", vni=5001),
            vm("blue", "10.0.0.2", vni=5002),
            vm("five", "10.0.0.3", vlan=5),
            vm("six", "10.0.0.3", vlan=6),
            vm("first", "10.0.0.4"),
            vm("second", "10.0.0.4"),
            vm("anywhere", "10.0.0.5"),
            vm("in seven", "10.0.0.5", vlan=7),
            vm("old", "10.0.0.6", valid_to=1000),
            vm("new", "10.0.0.6", valid_from=1000, valid_to=2000),
            vm("alone", "10.0.0.7", vni=5001),
            vm("six too", "2001:db8::6", "10.0.0.8"),
        ]
    }
)


@pytest.mark.parametrize(
    ("address", "frame", "expected"),
    [
        ("10.0.0.1", {}, "plain"),
        ("10.0.0.1", {"vlan": 9}, "plain"),  # a router has taken the frame to another VLAN
        ("10.0.0.2", {"vni": 5001}, "red"),
        ("10.0.0.2", {"vni": 5002}, "blue"),
        ("10.0.0.2", {"vni": 5003}, None),
        ("10.0.0.2", {}, None),  # nobody can tell
        ("10.0.0.3", {"vlan": 5}, "five"),
        ("10.0.0.3", {"vlan": 6}, "six"),
        ("10.0.0.3", {"vlan": 7}, None),
        ("10.0.0.3", {}, None),
        ("10.0.0.4", {}, "first"),  # they contradict each other
        ("10.0.0.5", {"vlan": 7}, "in seven"),
        ("10.0.0.5", {"vlan": 8}, "anywhere"),
        ("10.0.0.6", {"time": 999}, "old"),
        ("10.0.0.6", {"time": 1000}, "new"),
        ("10.0.0.6", {"time": 2000}, None),
        ("10.0.0.6", {}, None),  # today
        ("10.0.0.7", {}, "alone"),
        ("10.0.0.7", {"vni": 9}, None),
        ("2001:db8::6", {}, "six too"),
        ("10.0.0.8", {}, "six too"),
        ("10.0.0.9", {}, None),
    ],
)
def test_vms(address: str, frame: dict[str, int], expected: str | None) -> None:
    assert known(TENANTS, "vm", address, **frame) == expected


NESTED = Inventory(
    {
        "subnets": [
            subnet("10.0.0.0/8", site="all"),
            subnet("10.1.0.0/16", name="office", site="Leeds", vlan=20),
            subnet("10.1.2.0/24", name="lab", valid_from=1000, l2_network="cable"),
            subnet("10.1.3.0/24", name="red", vni=5001),
            subnet("10.1.3.0/24", name="blue", vni=5002),
            subnet("10.1.4.0/24", name="group"),
            subnet("2001:db8::/64", name="six", vlan=21),
        ],
        "l2_networks": [
            network("floor", "10.1.4.128/25"),
            network("prod", vlan=20),
            network("overlay", vni=5001),
            network("was", vlan=66, valid_to=1000),
        ],
        "vms": [
            vm("a", "10.1.4.1", port_group="pg"),
            vm("b", "10.1.4.129", port_group="pg"),
            vm("c", "10.1.4.2", vlan=33, port_group="pg"),
            vm("d", "10.1.4.3", host="h1"),
            vm("e", "10.1.4.4", host="h1", cluster="own"),
        ],
        "port_groups": [Row({"name": "pg", "vlan": 20})],
        "hosts": [
            Row({"name": "h1", "cluster": "old", "valid_to": 1000}),
            Row({"name": "h1", "cluster": "new", "valid_from": 1000}),
        ],
    },
    internet=[ipaddress.ip_network("10.99.0.0/16")],
)


@pytest.mark.parametrize(
    ("column", "address", "frame", "expected"),
    [
        ("subnet", "10.9.9.9", {}, "10.0.0.0/8"),
        ("subnet", "10.1.9.9", {}, "office"),
        ("subnet", "10.1.2.9", {"time": 999}, "office"),
        ("subnet", "10.1.2.9", {"time": 1000}, "lab"),
        ("subnet", "10.1.3.9", {"vni": 5002}, "blue"),
        ("subnet", "10.1.3.9", {"vni": 5003}, "office"),
        ("subnet", "10.1.3.9", {}, None),  # one of two
        ("subnet", "2001:db8::1", {}, "six"),
        ("subnet", "2001:db8:0:1::1", {}, None),
        ("site", "10.1.9.9", {}, "Leeds"),
        ("site", "10.1.4.9", {}, None),
        ("l2_network", "10.1.4.200", {"vlan": 9}, "floor"),  # its CIDR
        ("l2_network", "10.1.4.129", {"vlan": 9}, "floor"),
        ("l2_network", "10.1.9.9", {"vlan": 9}, "prod"),  # the subnet's VLAN
        ("l2_network", "2001:db8::1", {}, "vlan-21"),  # which has no name
        ("l2_network", "10.1.2.9", {"time": 1000}, "cable"),  # the subnet's words
        ("l2_network", "10.1.3.9", {"vni": 5001}, "overlay"),
        ("l2_network", "10.1.3.9", {"vni": 5002}, "vni-5002"),
        ("l2_network", "10.1.4.1", {"vlan": 9}, "prod"),  # its port group's VLAN
        ("l2_network", "10.1.4.2", {"vlan": 9}, "vlan-33"),  # its own VLAN
        ("l2_network", "10.1.4.9", {"vlan": 9}, "vlan-9"),  # the frame's
        ("l2_network", "10.1.4.9", {"vlan": 66, "time": 999}, "was"),
        ("l2_network", "10.1.4.9", {"vlan": 66, "time": 1000}, "vlan-66"),
        ("l2_network", "10.1.4.9", {"vni": 5001, "vlan": 9}, "overlay"),
        ("l2_network", "10.1.4.9", {"vni": 7, "vlan": 9}, "vlan-9"),  # a mirror's VNI is no network
        ("l2_network", "10.1.4.9", {"vni": 7}, None),
        ("l2_network", "10.1.4.9", {}, None),
        ("l2_network", "8.8.8.8", {"vlan": 9}, None),  # the internet is in none
        ("l2_network", "10.99.1.1", {"vlan": 9}, None),
        ("cluster", "10.1.4.3", {"time": 999}, "old"),
        ("cluster", "10.1.4.3", {}, "new"),
        ("cluster", "10.1.4.4", {}, "own"),
        ("cluster", "10.1.4.1", {}, None),
        ("host", "10.1.4.3", {}, "h1"),
        ("port_group", "10.1.4.1", {}, "pg"),
        ("is_internal", "10.1.4.1", {}, True),
        ("is_internal", "10.99.1.1", {}, False),
    ],
)
def test_networks(column: str, address: str, frame: dict[str, int], expected: Any) -> None:
    assert known(NESTED, column, address, **frame) == expected


@pytest.mark.parametrize(
    ("inventory", "columns", "expected"),
    [
        (Inventory(), ("vm", "subnet", "country"), ()),
        (Inventory(), ("l2_network",), ("vlan",)),
        (Inventory({"vms": [vm("a", "10.0.0.1", vlan=5)]}), ("vm",), ()),
        (TENANTS, ("vm",), ("vlan", "vni", "time")),
        (TENANTS, ("country", "is_internal"), ()),
        (NESTED, ("subnet",), ("vni", "time")),
        (NESTED, ("cluster",), ("time",)),
        (NESTED, ("host",), ()),
        (NESTED, ("l2_network",), ("vlan", "vni", "time")),
    ],
)
def test_what_decides(inventory: Inventory, columns: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert Enrichment(inventory).depends(columns) == expected


def test_columns() -> None:
    """All at once are the same as each alone; nothing is known of nothing."""
    enrichment = Enrichment(NESTED)
    addresses = octets("10.1.4.1", "8.8.8.8", "2001:db8::1")
    table = enrichment.look_up(addresses)
    assert table.column_names == list(COLUMNS)
    for name in COLUMNS:
        assert enrichment.look_up(addresses, (name,))[name].equals(table[name])
    nothing = Enrichment().look_up(octets("10.0.0.1")).to_pylist()[0]
    assert nothing.pop("is_internal")
    assert set(nothing.values()) == {None}
    assert len(enrichment.look_up(np.empty((0, 16), np.uint8))) == 0
    assert NESTED.epochs.tolist() == [1000]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(["198.51.100.0/24", "198.51.100.128/25", "10.0.0.0/7", "2001:db8::/32"]), max_size=4),
    st.lists(st.sampled_from(["10.0.0.0/9", "10.128.0.0/9", "192.168.3.0/24", "fd00::/8", "0.0.0.0/0"]), max_size=4),
    st.lists(st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address), max_size=20),
)
def test_internal(east_west: list[str], internet: list[str], addresses: list[Any]) -> None:
    """Oracle: the words of the definition, with ipaddress."""
    own = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"]
    inside, outside = [[ipaddress.ip_network(one) for one in names] for names in ([*own, *east_west], internet)]
    ends = [end for one in (*inside, *outside) for end in (one[0], one[-1]) if int(end) + 1 < 2**32]
    addresses += [*ends, *(end + 1 for end in ends)]
    addresses += [ipaddress.ip_address(one) for one in ("fd00::1", "fe80::1", "2001:db8::1", "2001:db9::1")]
    enrichment = Enrichment(Inventory({}, inside[len(own) :], outside))
    expected = [any(one in net for net in inside) and not any(one in net for net in outside) for one in addresses]
    assert enrichment.is_internal(octets(*addresses)).tolist() == expected
    spans = enrichment.internal
    assert all(last < first for (_, last), (first, _) in itertools.pairwise(spans))
    texts = [one.tobytes() for one in octets(*addresses)]
    assert [any(first <= one <= last for first, last in spans) for one in texts] == expected


NETWORKS = st.builds(
    lambda number, length: ipaddress.ip_network((0x0A000000 | number << 4, length), False),
    st.integers(0, 15),
    st.sampled_from([0, 8, 24, 26, 28, 30, 32]),
)
SCOPES = st.builds(
    lambda vlan, vni, begin, length: Scope(vlan, vni, ALWAYS[0] if begin is None else begin, (begin or 0) + length),
    st.sampled_from([None, None, 1, 2]),
    st.sampled_from([None, None, 1, 2]),
    st.sampled_from([None, None, 0, 5]),
    st.sampled_from([3, 10, 2**40]),
)


def row_by_row(rows: list[tuple[Any, Scope]], address: Any, vlan: int, vni: int, time: int) -> int:
    """The rules of prefixes.py, as they are written."""
    for length in range(32, -1, -1):
        best: list[tuple[int, int]] = []
        for n, (network_, scope) in enumerate(rows, 1):
            if network_.prefixlen != length or address not in network_ or not scope.begin <= time < scope.end:
                continue
            if scope.vni is not None and vni != NO_TUNNEL_ID and vni != scope.vni:
                continue
            points = 1
            if scope.vni is not None and vni == scope.vni:
                points += 3
            if scope.vlan is not None and vlan != NO_VLAN:
                points += 1 if scope.vlan == vlan else -1
            best.append((points, n))
        if best:
            top = max(points for points, _ in best)
            first, *others = (n for points, n in best if points == top)
            own = rows[first - 1][1]
            is_clear = all((rows[n - 1][1].vlan, rows[n - 1][1].vni) == (own.vlan, own.vni) for n in others)
            return first if is_clear else 0
    return 0


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(NETWORKS, SCOPES), max_size=8),
    st.lists(
        st.tuples(
            st.integers(0, 255),
            st.sampled_from([NO_VLAN, 1, 2, 3]),
            st.sampled_from([NO_TUNNEL_ID, 1, 2, 3]),
            st.integers(0, 12),
        ),
        min_size=1,
        max_size=30,
    ),
)
def test_longest_prefix_in_scope(rows: list[tuple[Any, Scope]], asked: list[tuple[int, int, int, int]]) -> None:
    """Oracle: row_by_row()."""
    prefixes = Prefixes([one for one, _ in rows], range(1, len(rows) + 1), [scope for _, scope in rows])
    addresses = [ipaddress.ip_address(0x0A000000 | host) for host, _, _, _ in asked]
    frames = Frames(
        np.array([vlan for _, vlan, _, _ in asked], np.uint16),
        np.array([vni for _, _, vni, _ in asked], np.uint32),
        np.array([time for _, _, _, time in asked], np.int64),
    )
    found = prefixes.look_up(octets(*addresses), frames).tolist()
    assert found == [row_by_row(rows, one, *rest) for one, (_, *rest) in zip(addresses, asked, strict=True)]


def test_relations() -> None:
    inventory = Inventory(
        {
            "vms": [
                vm("web", "10.1.4.1", host="h1", vcpus=2, memory=1 << 30, valid_to=1000, macs=(b"aaaaaa",)),
                vm("web", "10.1.4.2", host="h2", vcpus=4, valid_from=1000, application="shop", macs=(b"bbbbbb",)),
                vm("web", "10.1.4.3", valid_from=1000, port_group="pg", macs=(b"cccccc",)),
                vm("db", host="h2", default_gateway=ipaddress.ip_address("10.1.4.254")),
            ],
            "subnets": [subnet("10.1.4.0/24", gateway=ipaddress.ip_address("10.1.4.254"))],
            "hosts": [Row({"name": "h1", "cluster": "c"}), Row({"name": "h2", "cluster": "c"})],
            "l2_networks": [network("lan", "10.1.4.0/24", "10.1.5.0/24", vlan=4)],
            "switch_ports": [Row({"switch": "s1", "name": "e1", "index": 7, "speed": 10**10})],
        }
    )
    enrichment = Enrichment(inventory)
    now, before = relations(enrichment), relations(enrichment, 0, 1000)
    web, db = now["vms"].to_pylist()
    assert (web["name"], web["host"], web["cluster"], web["vcpus"], web["memory"]) == ("web", "h2", "c", 4, None)
    assert web["ip_addresses"] == [one.tobytes() for one in octets("10.1.4.2", "10.1.4.3")]
    assert (web["ip_address"], web["mac_address"]) == (web["ip_addresses"][0], b"bbbbbb")
    assert (web["port_group"], web["application"], web["subnet"], web["l2_network"]) == (
        *("pg", "shop", "10.1.4.0/24", "lan"),
    )
    assert (db["host"], db["ip_address"], db["subnet"]) == ("h2", None, None)
    assert db["default_gateway"] == octets("10.1.4.254").tobytes()
    assert before["vms"].to_pylist()[0]["host"] == "h1"
    assert before["vms"].to_pylist()[0]["memory"] == 1 << 30
    assert now["hosts"]["name"].to_pylist() == ["h1", "h2"]
    assert now["port groups"]["name"].to_pylist() == ["pg"]
    assert now["applications"].to_pylist() == [{"name": "shop", "vms": 1}]
    assert now["l2 networks"].to_pylist() == [
        {"name": "lan", "vlan": 4, "vni": None, "cidr": "10.1.4.0/24, 10.1.5.0/24"}
    ]
    assert now["subnets"]["name"].to_pylist() == ["10.1.4.0/24"]
    assert now["switch ports"].to_pylist()[0] == {
        **{"name": "e1", "switch": "s1", "index": 7, "host": None, "speed": 10**10}
    }
    assert {"name": "Japan", "code": "JP", "continent": "Asia"} in now["countries"].to_pylist()
