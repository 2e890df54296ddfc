"""What flow queries mean, as trees.

Oracle: trees written by hand from VMware's documentation of the language and from what the engineer who wrote the
nineteen queries says of them; zoneinfo and ipaddress where times and networks are concerned.
"""

from __future__ import annotations

import time
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from spanline.query import tree
from spanline.query.cleaning import clean
from spanline.query.errors import QueryError
from spanline.query.properties import entities
from spanline.query.reading import parse
from tests.conftest import require_shared

QUERIES = Path(__file__).parent / "queries"
SEED = (QUERIES / "seed.txt").read_text(encoding="utf-8").splitlines()
PUBLIC = (QUERIES / "public.txt").read_text(encoding="utf-8").splitlines()

NS = 10**9
HOUR, DAY = 3600 * NS, 86_400 * NS
ZURICH = "Europe/Zurich"


def moment(text: str, zone: str = ZURICH) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * NS


NOW = moment("2026-03-30 10:00")  # the day after summer time began in Zurich


def read(text: str) -> tree.Query:
    return parse(text, now=NOW, timezone=ZURICH)


def of(name: str, entity: str = "flows") -> tree.Property:
    (found,) = (one for one in entities()[entity].own() if one.name == name)
    return found


def says(name: str, operator: str, *values: str | int | float | tree.Network, entity: str = "flows") -> tree.Test:
    return tree.Test(of(name, entity), operator, values)


def summed(name: str, entity: str = "flows") -> tree.Aggregate:
    return tree.Aggregate("sum", of(name, entity))


def series(name: str, seconds: int | None = None) -> tree.Series:
    return tree.Series(summed(name), seconds)


def network(text: str) -> tree.Network:
    found = ip_network(text)
    first, last = found.network_address.packed, found.broadcast_address.packed
    prefix = b"" if found.version == 6 else bytes(10) + b"\xff\xff"
    return tree.Network(prefix + first, prefix + last)


THREE: tuple[tree.Projection, ...] = (series("Session Count"), series("Packets"), series("Bytes Rate"))
BY_TRAFFIC = (tree.OrderKey(summed("Total Traffic")),)
TELNET = tree.And((says("Port", "in", 22, 23, 3389), says("Flow Type", "=", "East-West")))
OUTSIDE = tree.And(
    (says("Source L2 Network", "in", "vlan-1105"), says("Destination L2 Network", "not in", "vlan-1105"))
)
LAST_DAY, LAST_WEEK = tree.Window(last=DAY, is_default=True), tree.Window(last=7 * DAY)


def flows(
    *projections: tree.Projection,
    where: tree.Condition | None = None,
    group: str = "",
    order: tuple[tree.OrderKey, ...] = (),
    window: tree.Window = LAST_DAY,
) -> tree.Query:
    by = (of(group),) if group else ()
    return tree.Query("", "flows", projections, where=where, group=by, order=order, window=window)


MEANINGS = [
    flows(where=says("Flow Type", "=", "Physical-Physical"), order=(tree.OrderKey(of("Total Traffic")),)),
    tree.Query(
        "",
        "switch ports",
        top=20,
        order=(tree.OrderKey(of("Network Rate", "switch ports")),),
        window=tree.Window(last=2 * DAY),
    ),
    tree.Query("", "vms", top=5, order=(tree.OrderKey(of("Network Rate", "vms")),), window=tree.Window(last=2 * DAY)),
    flows(group="Source Country"),
    flows(group="Destination Country"),
    flows(series("Bytes Rate"), group="Destination Country", order=BY_TRAFFIC),
    flows(*THREE, group="Destination Country", order=BY_TRAFFIC),
    flows(
        *THREE,
        where=tree.And((says("Flow Type", "=", "Source is VM"), says("Flow Type", "=", "Destination is Internet"))),
        group="Source Subnet",
        order=BY_TRAFFIC,
    ),
    flows(group="Destination Subnet"),
    flows(group="Source Subnet"),
    flows(*THREE, group="Source Subnet", order=BY_TRAFFIC),
    flows(*THREE, group="Port", order=(tree.OrderKey(summed("Session Count")),), window=LAST_WEEK),
    flows(*THREE, where=says("Destination Country", "=", "United Kingdom"), group="Source VM", window=LAST_WEEK),
    flows(
        where=tree.And((says("Flow Type", "=", "Source is Internet"), says("Port", "in", 22, 23, 3389))),
        group="Source Country",
    ),
    flows(*THREE, where=TELNET),
    flows(where=TELNET),
    flows(*THREE, where=TELNET, group="Source VM"),
    flows(where=OUTSIDE, order=(tree.OrderKey(of("Total Traffic")),)),
    flows(*THREE, where=OUTSIDE),
]


def same(found: tree.Query, expected: tree.Query) -> bool:
    """But for the text."""
    return found.unanswered is None and repr(found).replace(repr(found.text), "''") == repr(expected)


@pytest.mark.parametrize(("text", "meaning"), list(zip(SEED, MEANINGS, strict=True)))
def test_the_nineteen(text: str, meaning: tree.Query) -> None:
    assert same(read(text), meaning)


def test_the_queries_are_those_of_the_collection() -> None:
    folder = require_shared("queries")
    assert (folder / "seed.txt").read_text(encoding="utf-8").splitlines() == SEED
    assert (folder / "public.txt").read_text(encoding="utf-8").splitlines() == PUBLIC


UNANSWERED = ("Datastore", "Firewall Rule", "OS,", "Security Group", "CPU Usage", "SDDC")


@pytest.mark.parametrize("text", PUBLIC)
def test_every_public_query_is_read(text: str) -> None:
    query = read(text)
    assert (query.unanswered is not None) == any(word in text for word in UNANSWERED)


EITHER_WAY = tree.Or(
    (
        tree.And((says("Source VM", "=", "a"), says("Destination VM", "=", "b"))),
        tree.And((says("Source VM", "=", "b"), says("Destination VM", "=", "a"))),
    )
)

CONDITIONS = [
    ("port = 22 or port = 23 and vlan = 3",
     tree.Or((says("Port", "=", 22), tree.And((says("Port", "=", 23), says("VLAN", "=", 3)))))),
    ("(port = 22 or port = 23) and vlan = 3",
     tree.And((tree.Or((says("Port", "=", 22), says("Port", "=", 23))), says("VLAN", "=", 3)))),
    ("not port = 22 and vlan = 3", tree.And((tree.Not(says("Port", "=", 22)), says("VLAN", "=", 3)))),
    ("not (port = 22 and vlan = 3)", tree.Not(tree.And((says("Port", "=", 22), says("VLAN", "=", 3))))),
    ("not not not port = 22", tree.Not(says("Port", "=", 22))),
    ("not (not (port = 22))", says("Port", "=", 22)),
    ("port = 1 and (port = 2 and port = 3)", tree.And(tuple(says("Port", "=", n) for n in (1, 2, 3)))),
    ("PORT == '22'", says("Port", "=", 22)),
    ("port <> 22", says("Port", "!=", 22)),
    ("dest port = 22", says("Port", "=", 22)),
    ("src   ip = 10.0.0.1", says("Source IP Address", "=", network("10.0.0.1"))),
    ("source = 10.0.0.1", says("Source IP Address", "=", network("10.0.0.1"))),
    ("dst ip address in (10.0.0.0/8, 'fe80::/10')",
     says("Destination IP Address", "in", network("10.0.0.0/8"), network("fe80::/10"))),
    ("ip address != 10.1.2.3/32", says("IP Address", "!=", network("10.1.2.3"))),
    ("source_country = Japan", says("Source Country", "=", "Japan")),
    ("source country = United Kingdom and port = 1", tree.And((says("Source Country", "=", "United Kingdom"),
                                                         says("Port", "=", 1)))),
    ("country = Isle of Man", says("Country", "=", "Isle of Man")),
    ("country in (Trinidad and Tobago, 'Bosnia and Herzegovina')",
     says("Country", "in", "Trinidad and Tobago", "Bosnia and Herzegovina")),
    ("vm = 'it''s'", says("VM", "=", "it's")),
    ('vm = "it\'s"', says("VM", "=", "it's")),
    ("vm = ''", says("VM", "=", "")),
    ("vm not like 'web*'", says("VM", "not like", "web*")),
    ("vm contains web", says("VM", "contains", "web")),
    ("vm not matches '^web[0-9]+$'", says("VM", "not matches", "^web[0-9]+$")),
    ("vm is not set", says("VM", "is not set")),
    ("vm is set and port = 1", tree.And((says("VM", "is set"), says("Port", "=", 1)))),
    ("vm", says("VM", "is set")),
    ("port between 1 and 1023 and vlan = 3", tree.And((says("Port", "between", 1, 1023), says("VLAN", "=", 3)))),
    ("port between 1 and 1023 or port = 2000", tree.Or((says("Port", "between", 1, 1023), says("Port", "=", 2000)))),
    ("flow type = source is vm", says("Flow Type", "=", "Source is VM")),
    ("flow type not in ('north-south', Unicast)", says("Flow Type", "not in", "Internet", "Unicast")),
    ("protocol in (tcp, 17, Icmp)", says("Protocol", "in", 6, 17, 1)),
    ("mac address = 00-1A-2b-3C-4d-5E", says("MAC Address", "=", "00:1a:2b:3c:4d:5e")),
    ("mac address = 001a.2b3c.4d5e", says("MAC Address", "=", "00:1a:2b:3c:4d:5e")),
    ("bytes > 10 mb", says("Total Traffic", ">", 10_000_000)),
    ("bytes > 1.5GB", says("Total Traffic", ">", 1_500_000_000)),
    ("bytes > 1 GiB", says("Total Traffic", ">", 1 << 30)),
    ("bytes > 0.5", says("Total Traffic", ">", 0.5)),
    ("byte rate >= 10 Mbps", says("Bytes Rate", ">=", 10_000_000)),
    ("traffic rate >= 2.5 Gb/s", says("Bytes Rate", ">=", 2_500_000_000)),
    ("packets < 1000 packets", says("Packets", "<", 1000)),
    ("avg tcp rtt > 150", says("Average TCP RTT", ">", 150_000_000)),
    ("max tcp rtt > 1.5s", says("Maximum TCP RTT", ">", 1_500_000_000)),
    ("duration <= 250 us", says("Duration", "<=", 250_000)),
    ("retransmitted packet ratio >= 7%", says("Retransmitted Packet Ratio", ">=", 0.07)),
    ("retransmitted packet ratio >= 0.07", says("Retransmitted Packet Ratio", ">=", 0.07)),
    ("first seen > '2026-03-29 12:00'", says("First Seen", ">", moment("2026-03-29 12:00"))),
    ("last seen > yesterday", says("Last Seen", ">", moment("2026-03-29 00:00"))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meaning"), CONDITIONS)
def test_a_condition(text: str, meaning: tree.Condition) -> None:
    assert read(f"flows where {text}").where == meaning
    assert same(read(f"flows {text}"), flows(where=meaning)), "where may be missing"
    asked = read(f"count of flows in last 7 days where {text} group by port order by bytes asc")
    assert asked.where == meaning
    assert asked.window == LAST_WEEK
    assert read(f"flows where {text} 3 days ago").window == tree.Window(last=DAY, ago=3 * DAY)


WAYS = [
    ("from Cluster 'a' to Cluster 'b'",
     tree.And((says("Source Cluster", "=", "a"), says("Destination Cluster", "=", "b")))),
    ("from Cluster a and VM b", tree.And((says("Source Cluster", "=", "a"), says("Destination VM", "=", "b")))),
    ("from 10.0.0.0/8 to web 1", tree.And((says("Source IP Address", "=", network("10.0.0.0/8")),
                                      says("Destination VM", "=", "web 1")))),
    ("from dvpg x to application 3 tier where port = 22",
     tree.And((says("Source Port Group", "=", "x"), says("Destination Application", "=", "3 tier"),
               says("Port", "=", 22)))),
    ("between VM a and VM 'b'", EITHER_WAY),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meaning"), WAYS)
def test_who_talks_with_whom(text: str, meaning: tree.Condition) -> None:
    assert read(f"show flows {text} in last 7 days") == flows_of(text, meaning)


def flows_of(text: str, meaning: tree.Condition) -> tree.Query:
    return tree.Query(f"show flows {text} in last 7 days", "flows", where=meaning, window=LAST_WEEK)


ASKED = [
    ("count of flows", (tree.Count(),)),
    ("count, packets of flows group by port", (tree.Count(), tree.Aggregate("sum", of("Packets")))),
    ("show max(bytes), count of flows", (tree.Aggregate("max", of("Total Traffic")), tree.Count())),
    ("list(Host) of VMs", (tree.Listed(of("Host", "vms")),)),
    ("max(series(sum(byte rate),300)) of flow", (tree.OfSeries("max", series("Bytes Rate", 300)),)),
    ("Name, vcpu count of VMs", (of("Name", "vms"), of("vCPUs", "vms"))),
    ("count(src vm), average(rtt) of flows",
     (tree.Aggregate("count", of("Source VM")), tree.Aggregate("avg", of("Average TCP RTT")))),
    ("Bytes, RTT, max tcp rtt, port of flows group by port",
     (summed("Total Traffic"), tree.Aggregate("avg", of("Average TCP RTT")),
      tree.Aggregate("max", of("Maximum TCP RTT")), of("Port"))),
    ("min(first seen) of flows", (tree.Aggregate("min", of("First Seen")),)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "asked"), ASKED)
def test_what_is_asked(text: str, asked: tuple[tree.Projection, ...]) -> None:
    assert read(text).projections == asked


WINDOWS = [
    ("", tree.Window(last=DAY, is_default=True)),
    ("in last 90 minutes", tree.Window(last=90 * 60 * NS)),
    ("in the last week", tree.Window(last=7 * DAY)),
    ("last 2 days", tree.Window(last=2 * DAY)),
    ("today", tree.Window(moment("2026-03-30 00:00"), NOW)),
    ("yesterday", tree.Window(moment("2026-03-29 00:00"), moment("2026-03-29 00:00") + 23 * HOUR)),
    ("3 days ago", tree.Window(last=DAY, ago=3 * DAY)),
    ("in last 1 hour 3 days ago", tree.Window(last=HOUR, ago=3 * DAY)),
    ("at now", tree.Window(last=DAY)),
    ("at '2026-01-01 12:00'", tree.Window(moment("2025-12-31 12:00"), moment("2026-01-01 12:00"))),
    ("at 2026-01-01", tree.Window(moment("2026-01-01 00:00"), moment("2026-01-02 00:00"))),
    ("at 2026-01-01 12:00:30.5 in last 1 hour",
     tree.Window(moment("2026-01-01 11:00:30") + NS // 2, moment("2026-01-01 12:00:30") + NS // 2)),
    ("until 24 hours ago", tree.Window(ago=DAY)),
    ("in last 7 days until 24 hours ago", tree.Window(last=6 * DAY, ago=DAY)),
    ("until yesterday", tree.Window(end=moment("2026-03-30 00:00"))),
    ("between '2026-01-01 21:00' and '2026-01-02 06:30'",
     tree.Window(moment("2026-01-01 21:00"), moment("2026-01-02 06:30"))),
    ("between 2026-01-01 and 2026-01-02", tree.Window(moment("2026-01-01 00:00"), moment("2026-01-03 00:00"))),
    ("between 3 days ago and 1 day ago", tree.Window(NOW - 3 * DAY, NOW - DAY)),
    ("between yesterday and today", tree.Window(moment("2026-03-29 00:00"), NOW)),
    ("between 2026-07-01T00:00+02:00 and '2026-07-01 00:00Z'",
     tree.Window(moment("2026-07-01 00:00"), moment("2026-07-01 02:00"))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "window"), WINDOWS)
def test_a_window(text: str, window: tree.Window) -> None:
    assert read(f"flows {text}").window == window
    assert read(f"flows {text} where port = 22").window == window, "it may stand anywhere"
    assert read(f"flows where port = 22 group by port {text}").window == window


def test_the_zone_of_this_machine_is_used_without_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    window = parse("flows at '2026-07-01 12:00'", now=NOW).window
    assert window.end == moment("2026-07-01 12:00", "Asia/Tokyo")
    before = time.time_ns()
    assert before <= (parse("flows today").window.end or 0) <= time.time_ns()


CLEANED = [
    ("<p>flows</p>", "flows"),
    ("<span style=\"font-family: 'Liberation Mono', monospace;\">flows</span><br/>", "flows"),
    ("12. flows", "flows"),
    (" 3) flows ;\n", "flows"),
    ("7\tflows", "flows"),
    ("flows\u00a0where\u00a0port\u202f=\u00a022", "flows where port = 22"),
    ("\ufeffflo\u00adws\u200b", "flows"),
    ("flows where vm = ‘a’ or vm = “b”", "flows where vm = 'a' or vm = \"b\""),
    ("flows where vm = „a“ or vm = «b»", 'flows where vm = "a" or vm = "b"'),
    ("flows where vm = “it's”", 'flows where vm = "it\'s"'),
    ("flows where country = 'Côte d’Ivoire'", "flows where country = 'Côte d’Ivoire'"),
    ("flows where vm = '<b>a  b</b>'", "flows where vm = '<b>a  b</b>'"),
    ("flows where vm = &#39;a&#39; &amp; port &gt;= &#x31;", "flows where vm = 'a' & port >= 1"),
    ("flows\n  where\r\n\tport = 22\n", "flows where port = 22"),
    ("flows where bytes <a and packets > 3", "flows where bytes <a and packets > 3"),
    ("flows where bytes<5 and packets>3", "flows where bytes<5 and packets>3"),
    ("<!-- from the wiki --><td>flows</td>", "flows"),
]


@pytest.mark.parametrize(("pasted", "query"), CLEANED)
def test_what_is_pasted_is_cleaned(pasted: str, query: str) -> None:
    assert clean(pasted) == query


def test_other_clauses() -> None:
    query = read("show top 10 flow group by src vm, port order by sum(bytes) asc, count(vm), port limit 3")
    assert query.top == 10
    assert query.limit == 3
    assert query.group == (of("Source VM"), of("Port"))
    assert query.order == (
        tree.OrderKey(summed("Total Traffic"), is_descending=False),
        tree.OrderKey(tree.Aggregate("count", of("VM"))),
        tree.OrderKey(of("Port")),
    )


def test_a_name_behind_the_entity() -> None:
    assert read("VM 'a'").where == says("Name", "=", "a", entity="vms")
    assert read("host 'a' where cluster = b").where == tree.And(
        (says("Name", "=", "a", entity="hosts"), says("Cluster", "=", "b", entity="hosts"))
    )


SUB_QUERIES = [
    ("vm in (vms where vcpus > 4)", "vms", "Name"),
    ("vm in (list(name) of vms)", "vms", "Name"),
    ("vm in (list(default gateway), name of vms)", None, None),
    ("source ip not in (list(source ip) of flows where port = 22 until 24 hours ago)", "flows", "Source IP Address"),
    ("source ip not in (source ip of flows 1 day ago)", "flows", "Source IP Address"),
    ("source vm in (top 5 vms by network rate)", "vms", "Name"),
    ("source country in (show countries where continent = Europe)", "countries", "Name"),
    ("host in (Host cluster = x)", "hosts", "Name"),
]


@pytest.mark.parametrize(("text", "entity", "listed"), SUB_QUERIES)
def test_a_sub_query(text: str, entity: str | None, listed: str | None) -> None:
    if entity is None or listed is None:
        with pytest.raises(QueryError, match="one property"):
            read(f"flows where {text} and port = 1")
        return
    where = read(f"flows where {text} and port = 1").where
    assert isinstance(where, tree.And)
    test = where.parts[0]
    assert isinstance(test, tree.Test)
    assert test.query is not None
    assert not test.values
    assert test.query.entity == entity
    assert test.query.projections == (tree.Listed(of(listed, entity)),)
    assert test.query.text == text.partition("(")[2][:-1]
    if "24 hours" in text:
        assert test.query.window == tree.Window(ago=DAY)
        assert test.operator == "not in"


LISTS = [
    ("port in ({})", [str(n) for n in range(1, 10_001)]),
    ("source ip in ({})", [f"10.{n >> 8}.{n & 255}.0/24" for n in range(10_000)]),
    ("vm not in ({})", [f"'vm {n}'" for n in range(10_000)]),
]


@pytest.mark.parametrize(("form", "values"), LISTS)
def test_a_long_list(form: str, values: list[str]) -> None:
    where = read(f"flows where {form.format(', '.join(values))}").where
    assert isinstance(where, tree.Test)
    assert len(where.values) == 10_000
    assert type(where.values[0]) in (int, str, tree.Network)


def test_many_conditions_lie_flat() -> None:
    where = read("flows where " + " or ".join(f"port = {n}" for n in range(5000))).where
    assert isinstance(where, tree.Or)
    assert len(where.parts) == 5000


def test_columns_are_the_names_of_properties() -> None:
    """As the engine makes them."""
    for entity in entities().values():
        for one in entity.own():
            assert one.column == (one.either[0] if one.either else one.name.lower().replace(" ", "_"))
        columns = [one.column for one in entity.own() if not one.either]
        assert len(columns) == len(set(columns))
