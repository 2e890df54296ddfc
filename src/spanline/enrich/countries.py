"""Countries, and autonomous systems, of addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import chosen, fixed_binary
from spanline.enrich.mmdb import Row, flatten, read_octets
from spanline.enrich.names import CONTINENTS, NAMES
from spanline.enrich.ranges import Ranges
from spanline.errors import UsageError
from spanline.keeping import kept

COUNTRIES, SYSTEMS = "a country database", "an ASN database"
"""What MMDB files are called to who named another one."""

_NO_COUNTRY = ("", "-", "ZZ", "None")
_FORMAT = 1  # of what is kept: another one is made anew


class Places:
    """What a database says of addresses: rows of texts by number, of which number 0 is nothing.

    rows   of each number from 0 on, as many texts as `names` are; "" where one is not known
    names  of the columns
    """

    def __init__(self, ranges: Ranges, rows: Sequence[tuple[str, ...]], names: tuple[str, ...]) -> None:
        self.ranges = ranges
        self.rows = rows
        self.names = names

    def look_up(self, addresses: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
        """Of uint8[n, 16], IPv4 mapped: uint32[n], indices into `rows`."""
        return self.ranges.look_up(addresses)

    def texts(self, name: str, numbers: npt.NDArray[np.uint32]) -> pa.Array:
        """A column by its name, for `numbers` as look_up() gives them: strings, null where nothing is known."""
        at = self.names.index(name)
        values = [row[at] if row else "" for row in self.rows]
        known = np.array([bool(value) for value in values], np.bool_)
        return chosen(values, np.where(known[numbers], numbers, 0))

    def table(self) -> pa.Table:
        """All of it: `first` and `last`, 16 bytes, both included, in order and disjoint; and a column of each name."""
        first, last, numbers = self.ranges.arrays()
        columns = {"first": fixed_binary(first), "last": fixed_binary(last)}
        return pa.table(columns | {name: self.texts(name, numbers) for name in self.names})


def bundled_countries() -> Places:
    """The countries that come along: data/LICENSE.md says whose work they are."""
    packed = files("spanline.enrich").joinpath("data/countries.bin").read_bytes()
    ranges, head = Ranges.unpack(packed)
    return countries_of(ranges, head["rows"])


def read_countries(path: str) -> Places:
    """The countries of the MMDB file `path`: MaxMind's, DB-IP's, IPinfo's or ip-location-db's.

    The columns are country_code (ISO 3166-1 alpha-2), country (its English name in enrich/names.py) and continent.
    Raises UsageError for what has none.
    """
    ranges, rows = _kept(path, COUNTRIES, "countries", country_row)
    return countries_of(ranges, rows)


def read_systems(path: str) -> Places:
    """The autonomous systems of the MMDB file `path`. The columns are asn ("15169") and organisation.

    Raises UsageError for what has none.
    """
    ranges, rows = _kept(path, SYSTEMS, "autonomous systems", _system_row)
    return Places(ranges, [tuple(row) for row in rows], ("asn", "organisation"))


def countries_of(ranges: Ranges, rows: Sequence[Sequence[str]]) -> Places:
    """`rows` have code and name as country_row() gives them, the first one nothing."""
    named = [(code, NAMES.get(code, name or code), CONTINENTS.get(code, "")) for code, name in rows[1:]]
    return Places(ranges, [(), *named], ("country_code", "country", "continent"))


def country_row(record: Any) -> Row | None:
    """(code, English name or "") of a record, None when it has no country.

    MaxMind and DB-IP: {"country": {"iso_code": "GB", "names": {"en": …}}}; ip-location-db: {"country_code": "GB"};
    IPinfo: {"country": "GB"} or, in newer files, {"country_code": "GB", "country": "United Kingdom"}.
    """
    if not isinstance(record, dict):
        return None
    country, code, name = record.get("country"), record.get("country_code"), ""
    if isinstance(country, dict):
        code = country.get("iso_code")
        names = country.get("names")
        name = str(names.get("en", "")) if isinstance(names, dict) else ""
    elif isinstance(country, str):
        code, name = (code, country) if code else (country, "")
    if not isinstance(code, str) or code in _NO_COUNTRY:
        return None
    return code.upper(), name


def _system_row(record: Any) -> Row | None:
    """("15169", organisation or "") of a record, None when it has no number.

    MaxMind, DB-IP and ip-location-db: autonomous_system_number and …_organization; IPinfo: asn "AS15169" and as_name
    or name.
    """
    if not isinstance(record, dict):
        return None
    number = record.get("autonomous_system_number") or record.get("asn")
    name = record.get("autonomous_system_organization") or record.get("as_name") or record.get("name")
    digits = str(number or "").upper().removeprefix("AS")
    if not digits.isdecimal() or int(digits) >= 1 << 32:
        return None
    return str(int(digits)), str(name or "")


def _kept(path: str, what: str, things: str, row_of: Any) -> tuple[Ranges, list[list[str]]]:
    """What `row_of` makes of an MMDB file's records, kept by the file's content."""
    octets = read_octets(path, what)

    def make() -> bytes:
        ranges, rows, kind = flatten(path, octets, what, row_of)
        if len(rows) == 1:
            raise UsageError(f"{path}: has no {things}, it is a database of type {kind!r}", hint=f"name {what}")
        return ranges.pack({"rows": rows})

    ranges, head = Ranges.unpack(kept(f"{things.replace(' ', '-')}-{_FORMAT}", octets, make))
    return ranges, head["rows"]


_NOWHERE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    *("::/3", "2001:db8::/32", "3fff::/20", "4000::/2", "8000::/1"),
)
"""Not global unicast: IANA's registries of special-purpose addresses, and of IPv6 all but 2000::/3."""


def bundle(path: str) -> bytes:
    """What data/countries.bin holds, from the MMDB file `path`.

    Addresses of no country have none, whatever the file says, and countries that are no more are left out.
    """

    def today(record: Any) -> Row | None:
        row = country_row(record)
        return row if row is not None and row[0] in NAMES else None

    octets = read_octets(path, COUNTRIES)
    ranges, rows, _ = flatten(path, octets, COUNTRIES, today)
    ranges = ranges.without(map(ipaddress.ip_network, _NOWHERE))
    return ranges.pack({"rows": rows}, level=19)
