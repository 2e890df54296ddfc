"""Classes of addresses that the address alone decides, in SQL and looked up.

Oracle: Python's ipaddress, which is asked whether an address is in a network.
"""

from __future__ import annotations

import ipaddress
import random
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from spanline.enrich import Enrichment
from spanline.enrich.inventory import INTERNAL
from spanline.enrich.inventory_files import read_inventory
from spanline.query import nodes
from spanline.query.classes import NAMES, Classes
from spanline.query.running import DIALECT

SUBNETS = ("10.1.2.0/24", "10.1.4.0/22", "203.0.113.0/25", "10.9.9.4/31", "2001:db8:7::/64")
EAST_WEST = ("198.51.100.0/24", "2001:db8:7::/48")
INTERNET = ("10.99.0.0/16",)
MANY = tuple(f"8.8.{n}.0/25" for n in range(100))
NOBODY = ("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128", "224.0.0.0/4", "ff00::/8", "255.255.255.255/32")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def enrichment(folder: Path, east_west: tuple[str, ...]) -> Enrichment:
    path = folder / "inventory.yaml"
    subnets = "".join(f'  - cidr: "{one}"\n' for one in SUBNETS)
    lists = (("east_west", east_west), ("internet", INTERNET))
    path.write_text(
        f"subnets:\n{subnets}" + "".join(f"{name}: [{', '.join(map(repr, networks))}]\n" for name, networks in lists)
    )
    return Enrichment(read_inventory([str(path)]))


def is_in(address: Address, networks: tuple[str, ...]) -> bool:
    return any(address in ipaddress.ip_network(one) for one in networks)


def classes_of(address: Address, east_west: tuple[str, ...]) -> dict[str, bool]:
    internal = is_in(address, (*map(str, INTERNAL), *east_west)) and not is_in(address, INTERNET)
    subnets = [one for one in map(ipaddress.ip_network, SUBNETS) if one.version == 4 and one.prefixlen < 31]
    broadcast = str(address) == "255.255.255.255" or any(address == one.broadcast_address for one in subnets)
    return {
        "is_internal": internal,
        "is_internet": not internal and not broadcast and not is_in(address, NOBODY),
        "is_multicast": address.is_multicast,
        "is_broadcast": broadcast,
        "is_link_local": address.is_link_local,
    }


def addresses(east_west: tuple[str, ...]) -> list[Address]:
    """Those at the ends of all networks and beside them, and some others."""
    found: set[Address] = set()
    for text in (*map(str, INTERNAL), *SUBNETS, *east_west, *INTERNET, *NOBODY, "169.254.0.0/16", "fe80::/10"):
        network = ipaddress.ip_network(text)
        for end in (int(network.network_address), int(network.broadcast_address)):
            most = (1 << network.max_prefixlen) - 1
            found |= {type(network.network_address)(min(max(end + step, 0), most)) for step in (-1, 0, 1)}
    rng = random.Random(1)
    found |= {ipaddress.IPv4Address(rng.getrandbits(32)) for _ in range(200)}
    found |= {ipaddress.IPv6Address(rng.getrandbits(128)) for _ in range(200)}
    # The mapped ones are the IPv4 addresses.
    return [one for one in found if one.version == 4 or one.ipv4_mapped is None]


def packed(address: Address) -> bytes:
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


@pytest.mark.parametrize("east_west", [EAST_WEST, (*EAST_WEST, *MANY)], ids=["few ranges", "many ranges"])
def test_each_class_is_what_ipaddress_says(east_west: tuple[str, ...], tmp_path: Path) -> None:
    classes = Classes(enrichment(tmp_path, east_west))
    asked = addresses(east_west)
    octets = np.frombuffer(b"".join(map(packed, asked)), np.uint8).reshape(-1, 16)
    stored = pa.array([packed(one) for one in asked], pa.binary(16))
    connection = duckdb.connect()
    for name in NAMES:
        expected = [classes_of(one, east_west)[name] for one in asked]
        assert classes.holds(name, octets).tolist() == expected, name
        condition = classes.condition(name, nodes.column("address"))
        if condition is None:
            assert name == "is_broadcast" or east_west != EAST_WEST
            continue
        connection.register("asked", pa.table({"address": pa.ExtensionArray.from_storage(pa.uuid(), stored)}))
        found = connection.execute(f"SELECT {condition.sql(DIALECT)} FROM asked").fetchall()
        assert [one for (one,) in found] == expected, name
