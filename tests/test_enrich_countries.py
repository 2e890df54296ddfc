"""Countries and autonomous systems of addresses.

Oracle: maxminddb's own reader, address by address; the standard library's ipaddress for which network has an address.
"""

from __future__ import annotations

import ipaddress
import os
import random
from pathlib import Path
from typing import Any

import maxminddb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanline.enrich import Enrichment
from spanline.enrich import mmdb as reading
from spanline.enrich.countries import bundled_countries, read_countries, read_systems
from spanline.enrich.names import CONTINENTS, NAMES
from spanline.enrich.ranges import Ranges, Steps
from spanline.errors import UsageError
from tests import craft_mmdb

GB = {"country": {"iso_code": "GB", "names": {"en": "United Kingdom"}}}
US = {"country": {"iso_code": "US", "names": {"en": "United States"}}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is flattened is kept in a home of each test's own."""
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path


def octets(*addresses: Any) -> np.ndarray:
    packed = [ipaddress.ip_address(one).packed for one in addresses]
    mapped = [one if len(one) == 16 else bytes(10) + b"\xff\xff" + one for one in packed]
    return np.frombuffer(b"".join(mapped), np.uint8).reshape(-1, 16)


def countries_of(places: Any, *addresses: Any) -> list[str | None]:
    return places.texts("country", places.look_up(octets(*addresses))).to_pylist()


def random_networks(seed: int, count: int) -> dict[str, Any]:
    """Disjoint networks of both versions, each with one of a few records."""
    chosen = random.Random(seed)
    made: dict[str, Any] = {}
    codes = sorted(NAMES)[:40]
    blocks = chosen.sample(range(1 << 12), count)
    for block in blocks:
        length = chosen.randint(12, 32)
        address = block << 20 | chosen.getrandbits(20) >> (32 - length) << (32 - length)
        made[f"{ipaddress.IPv4Address(address)}/{length}"] = {"country_code": chosen.choice(codes)}
        length = chosen.randint(15, 128)
        high = (0x2000 << 112) | (block << 113 & ((1 << 125) - 1))
        low = chosen.getrandbits(113) >> (128 - length) << (128 - length)
        made[f"{ipaddress.IPv6Address(high | low)}/{length}"] = {"country_code": chosen.choice(codes)}
    return made


@pytest.mark.parametrize("bits", [24, 28, 32])
def test_all_networks_of_a_file(tmp_path: Path, bits: int) -> None:
    """Oracle: maxminddb, for 100,000 addresses in all: random ones, and the ends of networks and their neighbours."""
    networks = random_networks(bits, 1500)
    path = craft_mmdb.write(tmp_path / "some.mmdb", networks, bits=bits)
    chosen = random.Random(1)
    addresses: list[Any] = [ipaddress.IPv4Address(chosen.getrandbits(32)) for _ in range(12_000)]
    addresses += [ipaddress.IPv6Address(0x2000 << 112 | chosen.getrandbits(125)) for _ in range(9_000)]
    for text in networks:
        network = ipaddress.ip_network(text)
        first, last = network.network_address, network.broadcast_address
        addresses += [first, last, first - 1, last + 1]
    assert len(addresses) == 33_000
    places = read_countries(path)
    found = places.texts("country_code", places.look_up(octets(*addresses))).to_pylist()
    with maxminddb.open_database(path) as reader:
        expected = [(reader.get(one) or {}).get("country_code") for one in addresses]
    assert found == expected
    assert sum(one is not None for one in expected) > 3_000


def test_a_file_of_ipv4_only(tmp_path: Path) -> None:
    path = craft_mmdb.write(tmp_path / "four.mmdb", {"81.2.69.0/24": GB}, version=4)
    addresses = ("81.2.69.255", "81.2.70.0", "2001:db8::1")
    assert countries_of(read_countries(path), *addresses) == ["United Kingdom", None, None]


def test_ipv4_is_not_found_again_in_ipv6(tmp_path: Path) -> None:
    """What stands for IPv4 at 2002::/16 is the same node of the tree: it is walked once. Oracle: maxminddb reads it."""
    whole = craft_mmdb.mmdb({"81.2.69.0/24": GB, "2001:4860::/32": US, "2002::/16": US})
    path = tmp_path / "alias.mmdb"
    path.write_bytes(whole)
    with maxminddb.open_database(path) as reader:
        assert reader.get("81.2.69.1") == GB
    places = read_countries(str(path))
    assert countries_of(places, "81.2.69.1", "::81.2.69.1", "2001:4860::1") == ["United Kingdom", None, "United States"]


LAYOUTS = [
    ("MaxMind and DB-IP", GB, ("GB", "United Kingdom", "Europe")),
    ("ip-location-db", {"country_code": "GB"}, ("GB", "United Kingdom", "Europe")),
    ("IPinfo, older", {"country": "GB", "country_name": "UK"}, ("GB", "United Kingdom", "Europe")),
    ("IPinfo", {"country": "United Kingdom", "country_code": "GB"}, ("GB", "United Kingdom", "Europe")),
    ("small letters", {"country_code": "gb"}, ("GB", "United Kingdom", "Europe")),
    ("a code that nobody knows", {"country": {"iso_code": "QQ", "names": {"en": "Q"}}}, ("QQ", "Q", None)),
    ("without a name", {"country_code": "QQ"}, ("QQ", "QQ", None)),
    ("no country", {"country": {"iso_code": "ZZ"}}, (None, None, None)),
    ("a dash", {"country_code": "-"}, (None, None, None)),
    ("only a continent", {"continent": {"code": "EU"}}, (None, None, None)),
    ("a text", "GB", (None, None, None)),
    ("a number for a code", {"country_code": 7}, (None, None, None)),
]


@pytest.mark.parametrize(("record", "expected"), [one[1:] for one in LAYOUTS], ids=[one[0] for one in LAYOUTS])
def test_layouts(tmp_path: Path, record: Any, expected: tuple[str | None, ...]) -> None:
    path = craft_mmdb.write(tmp_path / "one.mmdb", {"81.2.69.0/24": record, "8.8.8.0/24": US})
    places = read_countries(path)
    numbers = places.look_up(octets("81.2.69.7"))
    assert tuple(places.texts(name, numbers)[0].as_py() for name in places.names) == expected


SYSTEMS = [
    ({"autonomous_system_number": 15169, "autonomous_system_organization": "Google LLC"}, ("15169", "Google LLC")),
    ({"asn": "AS15169", "as_name": "Google LLC"}, ("15169", "Google LLC")),
    ({"asn": "AS15169", "name": "Google LLC", "domain": "google.com"}, ("15169", "Google LLC")),
    ({"autonomous_system_number": 15169}, ("15169", None)),
    ({"autonomous_system_organization": "nobody"}, (None, None)),
    ({"asn": "ASX"}, (None, None)),
    ({"asn": "4294967296"}, (None, None)),
]


@pytest.mark.parametrize(("record", "expected"), SYSTEMS)
def test_autonomous_systems(tmp_path: Path, record: Any, expected: tuple[str | None, ...]) -> None:
    path = craft_mmdb.write(tmp_path / "asn.mmdb", {"8.8.8.0/24": record, "9.9.9.0/24": {"asn": "1"}})
    places = read_systems(path)
    numbers = places.look_up(octets("8.8.8.8"))
    assert tuple(places.texts(name, numbers)[0].as_py() for name in places.names) == expected


def test_what_comes_along() -> None:
    """Oracle: whose addresses these are is widely known; IANA's registries of special-purpose addresses."""
    places = bundled_countries()
    assert countries_of(places, "81.2.69.142", "130.88.7.1", "8.8.8.8", "2a00:1450:4001::1") == [
        *("United Kingdom", "United Kingdom", "United States", "Ireland"),
    ]
    nowhere = ("10.1.2.3", "172.19.1.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "127.0.0.1", "224.0.0.251")
    more = ("192.0.2.1", "203.0.113.9", "255.255.255.255", "::1", "fe80::1", "fd00::1", "ff02::1", "2001:db8::1")
    assert countries_of(places, *nowhere, *more) == [None] * 15
    assert all(code in NAMES and code in CONTINENTS for code, _, _ in places.rows[1:])
    table = places.table()
    assert table.column_names == ["first", "last", "country_code", "country", "continent"]
    assert len(table) > 300_000


def test_names() -> None:
    """Oracle: the list of ISO 3166-1 codes that comes with the time zone database, where that is installed."""
    list_of_codes = Path("/usr/share/zoneinfo/iso3166.tab")
    codes = {code for code in NAMES if code != "XK"}
    if list_of_codes.is_file():
        lines = [line for line in list_of_codes.read_text().splitlines() if not line.startswith("#")]
        assert {line[:2] for line in lines} == codes
    assert len(codes) == 249
    assert NAMES["GB"] == "United Kingdom"
    assert NAMES["US"] == "United States"
    assert len(set(NAMES.values())) == len(NAMES)
    assert set(CONTINENTS) == set(NAMES)


def test_table_is_the_lookup(tmp_path: Path) -> None:
    """Ranges are disjoint and in order, and their ends are looked up to the same."""
    places = read_countries(craft_mmdb.write(tmp_path / "some.mmdb", random_networks(7, 300)))
    table = places.table()
    first = [int.from_bytes(one) for one in table["first"].to_pylist()]
    last = [int.from_bytes(one) for one in table["last"].to_pylist()]
    assert all(start <= end for start, end in zip(first, last, strict=True))
    assert all(end < start for end, start in zip(last, first[1:], strict=False))
    for name in ("first", "last"):
        ends = np.frombuffer(b"".join(table[name].to_pylist()), np.uint8).reshape(-1, 16)
        assert places.texts("country", places.look_up(ends)).to_pylist() == table["country"].to_pylist()


def test_a_file_is_flattened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = craft_mmdb.write(tmp_path / "one.mmdb", {"81.2.69.0/24": GB})
    assert countries_of(read_countries(path), "81.2.69.1") == ["United Kingdom"]
    monkeypatch.setattr(reading, "_walk_all", None)
    assert countries_of(read_countries(path), "81.2.69.1") == ["United Kingdom"]


def cycle() -> bytes:
    """A node that leads back to itself."""
    return craft_mmdb.file([(("node", 0), ("node", 0))], craft_mmdb.value(GB))


BROKEN = [
    ("missing", None, "cannot read {path}: No such file or directory; name a country database in the MMDB format"),
    ("empty", b"", "{path}: no whole MMDB file; name a country database in the MMDB format"),
    ("text", b"hello\n" * 1000, "{path}: no whole MMDB file; name a country database in the MMDB format"),
    ("cut", craft_mmdb.mmdb({"81.2.69.0/24": GB})[:-40], "{path}: no whole MMDB file; name a country database in the"),
    ("cut before", craft_mmdb.mmdb({"81.2.69.0/24": GB})[400:], "{path}: no whole MMDB file; name a country database"),
    ("cycle", cycle(), "{path}: no whole MMDB file; name a country database in the MMDB format"),
    (
        "other",
        craft_mmdb.mmdb({"8.8.8.0/24": {"asn": "AS1"}}, kind="Test-ASN"),
        "{path}: has no countries, it is a database of type 'Test-ASN'; name a country database",
    ),
]


@pytest.mark.parametrize(("content", "said"), [one[1:] for one in BROKEN], ids=[one[0] for one in BROKEN])
def test_broken_files(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "broken.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_countries(str(path))
    assert str(caught.value).startswith(said.format(path=path))


@pytest.mark.parametrize("option", ["geoip", "asn"])
def test_what_is_no_file_of_networks_is_told_before_it_is_needed(tmp_path: Path, option: str) -> None:
    path = tmp_path / "some.mmdb"
    with pytest.raises(UsageError, match="cannot read"):
        Enrichment(**{option: str(path)})
    path.write_bytes(b"text")
    with pytest.raises(UsageError, match="no whole MMDB file"):
        Enrichment(**{option: str(path)})


def test_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(UsageError, match="not a file"):
            read_countries(str(path))
    with pytest.raises(UsageError, match="has no autonomous systems, it is a database of type 'Test-Country'"):
        read_systems(craft_mmdb.write(tmp_path / "one.mmdb", {"81.2.69.0/24": GB}))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_files_are_told(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever a byte is changed to: countries, or a line that says what is wrong."""
    whole = bytearray(craft_mmdb.mmdb({"81.2.69.0/24": GB, "2001:4860::/32": US}))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "one.mmdb"
    path.write_bytes(whole)
    said = str(path)
    try:
        read_countries(str(path)).look_up(octets("81.2.69.1", "2001:4860::1"))
    except UsageError as error:
        said = str(error)
    assert said.startswith(str(path))


ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address), st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
)


@st.composite
def steps(draw: st.DrawFn, bits: int) -> Steps:
    starts = sorted({0, *draw(st.lists(st.integers(0, 2**bits - 1), max_size=20))})
    numbers = [draw(st.integers(0, 3)) for _ in starts]
    halves = np.array([(start >> 64, start & (2**64 - 1)) for start in starts], np.uint64)
    return Steps.of(halves, np.array(numbers, np.uint32))


@settings(deadline=None, max_examples=200)
@given(steps(32), steps(128), st.lists(ADDRESSES, max_size=30), st.lists(ADDRESSES, max_size=2), st.integers(0, 32))
def test_ranges(four: Steps, six: Steps, addresses: list[Any], cut: list[Any], length: int) -> None:
    """Oracle: going through the steps one by one; ipaddress for what is cut out."""
    ranges, head = Ranges.unpack(Ranges(four, six).pack({"rows": [1]}))
    assert head["rows"] == [1]
    networks = list({one.version: ipaddress.ip_network((one, length), False) for one in cut}.values())
    rest = ranges.without(networks)
    for address in addresses:
        if address.version == 6 and address.ipv4_mapped is not None:
            continue
        own = four if address.version == 4 else six
        expected = 0
        for (high, low), number in zip(own.first.tolist(), own.numbers.tolist(), strict=True):
            if high << 64 | low <= int(address):
                expected = number
        assert ranges.look_up(octets(address)).tolist() == [expected]
        is_cut = any(address in network for network in networks)
        assert rest.look_up(octets(address)).tolist() == [0 if is_cut else expected]
