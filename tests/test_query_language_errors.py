"""What is said of queries that make no sense, and where: for each, what somebody who typed it would have to be told.

Oracle: places and words set down by hand; for strings of chance, what tests/fuzz/queries.py says must hold.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanline.errors import UsageError
from spanline.query.errors import QueryError
from spanline.query.lexing import DEEPEST
from spanline.query.reading import LONGEST, parse
from tests.fuzz import queries

# text, the place in it (from 1), what is wrong with it; and what to do
WRONG = [
    ("", 1, "the query is empty; write for instance flows group by Source Country"),
    ("series(sum(sum (packets)) of flows", 12, "'sum' was not expected here; sum(…) takes a property, like sum(Pac"),
    ("series(packets) of flows", 8, "'packets' was not expected here; series(…) takes a function of a property, like"),
    ("flws where port = 1", 1, "'flws' is nothing that can be asked for; did you mean Flows?"),
    ("lists of things", 10, "'things' is nothing that can be asked for; there are Flows, VMs, Hosts, Subnets,"),
    ("count flows", 1, "'count flows' is nothing that can be asked for; write count of flows"),
    ("select * from flows", 20, "the query ends too early; this is not SQL: write"),
    ("flows where Sorce Country = 'x'", 13, "Flows have no 'Sorce Country'; did you mean Source Country"),
    ("flows group by Prot", 16, "Flows have no 'Prot'; did you mean Port?"),
    ("flows where default gateway = 1.2.3.4", 13, "Flows have no 'default gateway'; VMs and Subnets have"),
    ("flows where port 22", 18, "'22' was not expected here; an operator is missing before it"),
    ("flows where source country is nul", 13, "Flows have no 'source country is nul'; did you mean Source Country"),
    ("flows where port =", 19, "the query ends too early; expected: a value"),
    ("flows where port = 22 or", 25, "the query ends too early; expected: a property, ("),
    ("flows where (port = 22", 23, "a ) is missing at the end"),
    ("flows where port = 22)", 22, "')' was not expected here; there is no ( for it"),
    ("flows where port in (22, )", 26, "')' was not expected here; expected: a value"),
    ("flows where port = 22, 23", 22, "',' was not expected here; several values are a list: in (22, 23)"),
    ("flows where port in ()", 22, "')' was not expected here; a list has values between its commas"),
    ("flows where port = 22 vlan = 3", 28, "'=' was not expected here; join conditions by and or or"),
    ("flows where port = 22 where vlan = 3", 23, "where is there already; join conditions by and or or"),
    ("flows group by port group by vlan", 21, "group by is there already; write commas between what it is by"),
    ("flows by port order by vlan", 15, "order by is there already; write commas between what it is by"),
    ("flows where port == 22 && vlan = 3", 24, "'&&' is no operator; write and"),
    ("flows where port => 4", 18, "'=>' is no operator; write >="),
    ("flows where port ! 3", 18, "'!' is no operator; write not or !="),
    ("flows where vm = 'abc", 18, "the quote has no end; close it with '"),
    ("flows where vm = \"abc' and port = 3", 18, 'the quote has no end; close it with "'),
    ("flows where port = http", 20, "'http' is not a number; write Port like 443"),
    ("flows where port in (22, x, 23)", 26, "'x' is not a number"),
    ("flows where vlan = 5 mb", 20, "'mb' is no unit of VLAN; VLAN has no unit"),
    ("flows where port = 22; drop table flows", 20, "'; drop table flows' is no unit of Port"),
    ("flows where bytes > 10 xb", 21, "'xb' is no unit of Total Traffic; write Total Traffic like 10 MB"),
    ("flows where byte rate > 10 MBs", 25, "'MBs' is no unit of Bytes Rate; did you mean"),
    ("flows where retransmitted packet ratio > 70", 42, "'70' is no ratio; it is 0 to 1, or 0% to 100%"),
    (f"flows where bytes > {'9' * 30}", 21, f"'{'9' * 30}' is too large"),
    ("flows where source ip = 10.0.0", 25, "'10.0.0' is no IP address; write an address like 10.1.2.3"),
    ("flows where source ip = fe80::1::2", 25, "'fe80::1::2' is no IP address; write an address like 10.1.2.3"),
    ("flows where source ip > 10.0.0.1", 23, "Source IP Address has no order, so that > says nothing of it"),
    ("flows where source ip like '10.'", 23, "Source IP Address is no text, so that like says nothing of it; write ="),
    ("flows where vm between a and b", 16, "VM has no order, so that between says nothing of it"),
    ("flows where mac address = 00:11", 27, "'00:11' is no MAC address; write 00:1a:2b:3c:4d:5e"),
    ("flows where protocol = tcpp", 24, "'tcpp' is no IP protocol; did you mean TCP?"),
    ("flows where flow type = 'Source is Intenet'", 25, "'Source is Intenet' is no Flow Type; did you mean Source is"),
    ("flows where flow type = 'x'", 25, "'x' is no Flow Type; there are Source is Internet, Destination is Internet"),
    ("flows where vm matches '(x'", 24, "the regular expression is not understood: missing ): (x; the syntax is RE2's"),
    ("flows where vm matches '(?=x)'", 24, "the regular expression is not understood: invalid perl operator: (?="),
    ("flows where first seen > foo", 26, "'foo' is no time; write '2026-01-31 12:34', now, today, yesterday"),
    ("flows in last 2 dys", 15, "'dys' is no unit of time; did you mean days?"),
    ("flows in last 0 days", 15, "'0 days' is no length of time that can be asked for"),
    ("flows in last 999999999999 years", 15, "'999999999999 years' is no length of time that can be asked for"),
    ("flows in last", 14, "the query ends too early; expected: a value"),
    ("flows in last 2 days in last 3 days", 22, "the query says twice when; write one time"),
    ("flows today yesterday", 13, "the query says twice when"),
    ("flows in last 2 days between yesterday and now", 22, "the query says twice when"),
    ("flows in last 2 days until 3 days ago", 28, "the time ends before it begins"),
    ("flows between '2026-01-02' and '2026-01-01'", 15, "the time ends before it begins; the earlier one stands first"),
    ("flows between '2026-07-01 00:00Z' and '2026-07-01T00:00+00:30'", 15, "the time ends before it begins"),
    ("flows between 2026-02-29 and now", 15, "'2026-02-29' is no time; there is no such day or hour"),
    ("flows between foo and bar", 15, "'foo' is no time"),
    ("flows at midnight", 10, "'midnight' is no time"),
    ("sum(Port) of flows", 5, "Port has no sum; write count(Port), or sum of one of these: Total Traffic, Bytes Rate,"),
    ("sum(bytes), Source VM of flows", 13, "Source VM can be different for the rows that are counted together;"),
    ("sum(bytes) of flows group by VM order by port", 42, "Port can be different for the rows that are counted"),
    ("flows order by sum(bytes)", 16, "nothing is counted together that would have such a number; write order by"),
    ("list(VM) of flows group by port", 1, "list(…) stands alone, without groups"),
    ("count(series(sum(bytes))) of flows", 1, "a series has no count; its sum, avg, min and max are numbers"),
    ("series(avg(vcpus)) of VMs", 8, "VMs have no series, only flows have; write series(sum(Bytes Rate)) of flows"),
    ("max(series(sum(network rate))) of hosts", 12, "Hosts have no series, only flows have"),
    ("series(sum(packets), 0) of flows", 22, "'0' is not from 1 to"),
    ("flows limit 0", 13, "'0' is not from 1 to 1,000,000,000"),
    ("top 99999999999999999999 flows", 5, "'99999999999999999999' is not from 1 to 1,000,000,000"),
    ("flows limit x", 13, "'x' was not expected here; expected: a number"),
    ("sum(bytes)", 11, "the query ends too early; what is asked for has to be of something: sum(Packets) of flows"),
    ("flows 'x'", 7, "Flows have no names; write for instance where Source VM = 'a'"),
    ("VMs from Host a to Host b", 10, "VMs go from nowhere to nowhere; flows do"),
    ("flows from Host a", 18, "the query ends too early; expected: to, and"),
    ("flows where vm in (list(port) of flows)", 13, "VM and Port of flows cannot be compared"),
    ("VMs where name in (flows where port = 2)", 20, "Flows have no names, so that they are no list of values"),
    ("VMs where name in (sum(bytes) of flows)", 20, "a list of values has one property, and no groups"),
    ("VMs where name in (flws where port = 2)", 20, "'flws' is nothing that can be asked for; did you mean Flows?"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "told"), WRONG)
def test_what_is_said_of_a_wrong_query(text: str, column: int, told: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text, now=queries.NOW, timezone="UTC")
    assert str(caught.value).startswith(told)
    assert caught.value.column == column
    line, mark = caught.value.excerpt()
    assert line == text
    assert mark.index("^") == column - 1


# Oracle: RFC 9293 and RFC 768 (ports), IEEE 802.1Q, RFC 2890, RFC 6793, RFC 791 and RFC 4291: what fits their fields.
IMPOSSIBLE = [
    ("flows where port = 99999999", 20, "'99999999' is too large; Port is 0 to 65535"),
    ("flows where port = 65536", 20, "'65536' is too large; Port is 0 to 65535"),
    ("flows where port in (22, '65536')", 26, "'65536' is too large; Port is 0 to 65535"),
    ("flows where port < 70000", 20, "'70000' is too large; Port is 0 to 65535"),
    ("flows where port between 0 and 65536", 32, "'65536' is too large; Port is 0 to 65535"),
    ("flows where port not in (-1)", 26, "'-1' is too small; Port is 0 to 65535"),
    ("flows where port = 22.5", 20, "'22.5' is no whole number; Port is 0 to 65535"),
    (f"flows where port = {'9' * 30}", 20, f"'{'9' * 30}' is too large; Port is 0 to 65535"),
    ("flows where source port = 65536", 27, "'65536' is too large; Source Port is 0 to 65535"),
    ("flows where vlan = 5000", 20, "'5000' is too large; VLAN is 0 to 4095"),
    ("vms where vlan = 4096", 18, "'4096' is too large; VLAN is 0 to 4095"),
    ("flows where vni = 4294967296", 19, "'4294967296' is too large; VNI is 0 to 4294967295"),
    ("flows where asn = 4294967296", 19, "'4294967296' is too large; ASN is 0 to 4294967295"),
    ("flows where destination asn = -5", 31, "'-5' is too small; Destination ASN is 0 to 4294967295"),
    ("flows where protocol = 256", 24, "'256' is no IP protocol; it is 0 to 255; did you mean Port = 256?"),
    ("flows where protocol = -1", 24, "'-1' is no IP protocol; write TCP, UDP, ICMP or a number from 0 to 255"),
    ("flows where source ip = 10.0.0.0/33", 25, "'10.0.0.0/33' is no network; an IPv4 network is /0 to /32"),
    ("flows where ip in (fe80::/129)", 20, "'fe80::/129' is no network; an IPv6 network is /0 to /128"),
    ("flows where source ip = 10.0.0.300", 25, "'10.0.0.300' is no IP address; its numbers are 0 to 255"),
    ("flows where source ip = 10.0.300.0/24", 25, "'10.0.300.0/24' is no IP address; its numbers are 0 to 255"),
    ("flows from 10.0.0.0/33 to web-1", 12, "'10.0.0.0/33' is no network; an IPv4 network is /0 to /32"),
    ("flows between 10.0.0.1 and 10.0.0.300", 28, "'10.0.0.300' is no IP address; its numbers are 0 to 255"),
    ("flows between fe80::/129 and 10.0.0.3", 15, "'fe80::/129' is no network; an IPv6 network is /0 to /128"),
    ("flows where bytes = -1", 21, "'-1' is too small; Total Traffic is 0 or more"),
    ("flows where bytes > -5 GB", 21, "'-5 GB' is too small; Total Traffic is 0 or more"),
    ("flows where packets < -1", 23, "'-1' is too small; Packets is 0 or more"),
    ("flows where sessions = -1", 24, "'-1' is too small; Session Count is 0 or more"),
    ("flows where duration < -5ms", 24, "'-5ms' is too small; Duration is 0 or more"),
    ("vms where vcpus = -1", 19, "'-1' is too small; vCPUs is 0 or more"),
    ("vms where memory < -8GB", 20, "'-8GB' is too small; Memory is 0 or more"),
    ("flows where port between 80 and 22", 33, "nothing is between 80 and 22; the smaller one stands first"),
    ("flows where bytes between 1 GB and 5 MB", 36, "nothing is between 1 GB and 5 MB; the smaller one stands first"),
    ("flows where first seen between now and yesterday", 40, "nothing is between now and yesterday; the smaller one"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "told"), IMPOSSIBLE)
def test_a_value_that_there_cannot_be_is_told(text: str, column: int, told: str) -> None:
    test_what_is_said_of_a_wrong_query(text, column, told)


@pytest.mark.parametrize(
    "condition",
    ["port = 0", "port = 65535", "port between 0 and 65535", "vlan = 4095", "vni = 16777215", "vni = 4294967295",
     "asn = 4294967295", "protocol = 255", "ip = 0.0.0.0/0", "ip = ::/0", "ip = 10.0.0.1/32", "ip = fe80::1/128",
     "bytes > 0", "duration >= 0", "port between 22 and 22", "packets > 1.5"],
)  # fmt: skip
def test_the_first_and_the_last_value_are_some(condition: str) -> None:
    assert parse(f"flows where {condition}").where is not None


NOT_HELD = [
    ("datastores where free space percent < 10%", 1, "spanline has no record of Datastores"),
    ("datastores where whatever = 3", 1, "spanline has no record of Datastores"),
    ("flows where source sddc = 'x' and firewall rule is set", 13, "spanline has no record of Source SDDC"),
    ("flows where vm in (vms where security group = 'a')", 30, "spanline has no record of Security Group"),
]


@pytest.mark.parametrize(("text", "column", "told"), NOT_HELD)
def test_what_is_not_held_is_read_and_told(text: str, column: int, told: str) -> None:
    error = parse(text).unanswered
    assert isinstance(error, QueryError)
    assert str(error) == f"{told}; the query is understood, but has no answer here"
    assert error.column == column


def test_a_long_query_is_shown_around_the_place() -> None:
    text = "flows where " + " or ".join(f"port = {n}" for n in range(100)) + " or vlan = x and port = 1"
    with pytest.raises(QueryError) as caught:
        parse(text)
    line, mark = caught.value.excerpt()
    assert len(line) in (79, 80)
    assert line[mark.index("^")] == "x"


@pytest.mark.parametrize("length", range(76, 84))
def test_the_end_of_a_query_is_marked_within_the_width(length: int) -> None:
    with pytest.raises(QueryError) as caught:
        parse("flows where vm =".ljust(length - 3, " ") + "(((")
    assert max(len(line) for line in caught.value.excerpt()) <= 80


def test_nesting_has_an_end() -> None:
    deep = "flows where " + "(" * DEEPEST + "port = 1" + ")" * DEEPEST
    assert parse(deep).where == parse("flows where port = 1").where
    with pytest.raises(QueryError, match="more than 30 parentheses"):
        parse(deep.replace("port = 1", "(port = 1)"))
    lists = "flows where " + "source vm in (list(source vm) of flows where " * DEEPEST + "port = 1" + ")" * DEEPEST
    with pytest.raises(QueryError, match="more than 30 parentheses"):
        parse(lists)
    assert parse("flows where " + "not " * 45_000 + "port = 1").where == parse("flows where port = 1").where


def test_the_length_has_an_end() -> None:
    with pytest.raises(QueryError, match="at most 200,000 characters"):
        parse("flows where vm = '" + "x" * LONGEST + "'")
    assert parse("flows" + " " * (LONGEST - 5)).entity == "flows"


NONSENSE = [
    "'" * 99_999, "<b " * 30_000, "<b x='" * 20_000, "“" * 99_999, "&" * 99_999, "- " * 50_000, "flow " * 20_000,
    "(" * 99_999, "flows where vm = " + "3 days " * 20_000, "flows where vm in (" * 5_000, "not " * 40_000,
    "<!--" * 20_000, "1. " * 30_000, "flows where " + "x" * 99_999,
]  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
def test_long_nonsense_is_refused(text: str) -> None:
    """In time that grows with its length: quadratic time would be minutes."""
    queries.check(text)


def test_an_unknown_time_zone() -> None:
    with pytest.raises(UsageError, match="there is no time zone 'Europe/Zurch'; did you mean Europe/Zurich"):
        parse("flows", timezone="Europe/Zurch")
    with pytest.raises(UsageError, match="there is no time zone"):
        parse("flows", timezone="../../etc/passwd")


def test_queries_made_by_the_grammar_and_broken() -> None:
    """Some are right and some wrong, so that both are tried."""
    cases = queries.cases(7)
    right = sum(queries.check(next(cases)) is not None for _ in range(1500))
    assert 100 < right < 1400


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(queries.WORDS + queries.VALUES + queries.TIMES + queries.OPERATORS) | st.text(max_size=4))
)
def test_strings_of_chance(words: list[str]) -> None:
    queries.check("flows where " + " ".join(words))
    queries.check("".join(words))
