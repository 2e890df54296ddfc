"""What can stand where the cursor is, and what is what in a query.

Oracle: what somebody who knows the language would write there, set down by hand; the grammar, as whatever is suggested
has to be taken there.
"""

from __future__ import annotations

import pytest
from history_places import inventory

from spanline.enrich import Enrichment
from spanline.enrich.inventory_files import read_inventory
from spanline.query.errors import QueryError
from spanline.query.prompting import MOST, pieces, suggestions
from spanline.query.prompting_values import KnownValues
from spanline.query.reading import parse
from spanline.query.tree import Property


def values(of: Property | None) -> list[str]:
    """Of whatever property."""
    return [] if of is not None and of.name == "Port" else ["web-1", "United Kingdom", "it's", "vlan-1105", "by"]


def suggested(text: str) -> list[str]:
    """What the query would be with each of the suggestions."""
    return [text[: one.start] + one.text for one in suggestions(text, values)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["Flows", "VMs", "Countries", "top", "show", "sum(", "series(", "count of", "list("]),
        ("fl", ["Flows"]),
        ("FL", ["Flows"]),
        ("sw", ["Switch Ports"]),
        ("switch po", ["Switch Ports"]),
        ("flows ", ["flows where", "flows group by", "flows order by", "flows in last", "flows today"]),
        ("flows gr", ["flows group by"]),
        ("flows group b", ["flows group by"]),
        ("flows in the la", []),
        ("flows where source co", ["flows where Source Country", "flows where Source Continent"]),
        ("flows where src cou", ["flows where Source Country"]),
        ("flows where source_cou", ["flows where Source Country"]),
        ("flows where dvp", ["flows where dvpg"]),
        ("flows where Source ", ["flows where Source VM", "flows where Source =", "flows where Source in ("]),
        ("flows where port ", ["flows where port =", "flows where port >=", "flows where port in (",
                               "flows where port between", "flows where port is set"]),
        ("flows where source country ", ["flows where source country =", "flows where source country like"]),
        ("flows where source country not i", ["flows where source country not in ("]),
        ("flows where source country = ", ["flows where source country = 'United Kingdom'",
                                           "flows where source country = web-1",
                                           'flows where source country = "it\'s"',
                                           "flows where source country = 'by'"]),
        ("flows where source country = uni", ["flows where source country = 'United Kingdom'"]),
        ("flows where source country = 'uni", ["flows where source country = 'United Kingdom'"]),
        ('flows where source country = "united k', ['flows where source country = "United Kingdom"']),
        ("flows where source country in ('x', uni", ["flows where source country in ('x', 'United Kingdom'"]),
        ("flows where vm = web-1 an", ["flows where vm = web-1 and"]),
        ("flows where vm = web-1 and flow t", ["flows where vm = web-1 and Flow Type"]),
        ("flows where vm in (v", ["flows where vm in (vlan-1105", "flows where vm in (VMs"]),
        ("flows where vm in (vms where vc", ["flows where vm in (vms where vCPUs"]),
        ("flows where vm in (vms where vcpus > 8) and source cou",
         ["flows where vm in (vms where vcpus > 8) and Source Country"]),
        ("flows in last ", ["flows in last 7 days", "flows in last 24 hours"]),
        ("flows until ", ["flows until 24 hours ago"]),
        ("flows from 10.0.0.0/8 to ", ["flows from 10.0.0.0/8 to web-1"]),
        ("sum(by", ["sum(Bytes Rate"]),
        ("sum(bytes", ["sum(Bytes Rate"]),
        ("sum(bytes) ", ["sum(bytes) of", "sum(bytes) ,"]),
        ("sum(bytes) of ", ["sum(bytes) of Flows", "sum(bytes) of VMs"]),
        ("sum(bytes), ser", ["sum(bytes), series("]),
        ("top 5 v", ["top 5 VMs"]),
        ("top 5 VMs by net", ["top 5 VMs by Network Rate"]),
        ("flows order by bytes as", ["flows order by bytes asc"]),
    ],
)  # fmt: skip
def test_what_can_stand_there(text: str, expected: list[str]) -> None:
    found = suggested(text)
    assert [one for one in expected if one not in found] == []
    assert expected or not found


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("flows where ", ["flows where vCPUs", "flows where OS", "flows where SDDC"]),
        ("vms where ", ["vms where Source VM", "vms where OS"]),
        ("", ["Datastores"]),
        ("flows where source v", ["flows where source VM", "flows where source VLAN"]),
        ("flows where port = ", ["flows where port = web-1"]),
        ("flows where source country ", ["flows where source country <", "flows where source country between"]),
        ("flows where port ", ["flows where port like"]),
        ("flows where flow type ", ["flows where flow type like", "flows where flow type >"]),
        ("flows where (port = 22", ["flows where (port = 22)"]),
    ],
)
def test_what_makes_no_sense_is_not_suggested(text: str, never: list[str]) -> None:
    found = suggested(text)
    assert found or "=" in text
    assert not set(found) & set(never)


@pytest.mark.parametrize(
    "text", ["flows where port ! ", "flows where port 22 ", "flows )", "( ( (", "'", "flows where vm = 'a' 'b", "\x00"]
)
def test_behind_a_fault_nothing_is_suggested(text: str) -> None:
    assert suggested(text) == []


def fault_of(text: str) -> QueryError | None:
    try:
        parse(text)
    except QueryError as error:
        return error
    return None


BEGINNINGS = [
    "flows where source vm = web-1 and (port in (22, 23) or flow type != 'Internet') group by vlan in last 2 days",
    "series(sum(bytes rate)), max(rtt) of flows where vm in (vms where vcpus > 8) order by sum(bytes) desc limit 5",
    "show flows from Cluster 'Cluster-1' to Cluster 'PKS' between yesterday and now",
]


@pytest.mark.parametrize("text", BEGINNINGS)
def test_a_query_can_be_written_by_completing_it(text: str) -> None:
    """Wherever the cursor stands in it, whatever is suggested can be gone on with: there is no fault before its end.
    Every fifth place is tried."""
    parse(text)
    for at in range(0, len(text) + 1, 5):
        for one in suggestions(text[:at], values):
            made = text[: one.start] + one.text
            faults = [fault_of(made), fault_of(f"{made} of flows"), fault_of(f"{made} (")]
            # That more has to follow is no fault.
            assert any(fault is None or fault.start >= len(made) for fault in faults), (made, faults)


def test_there_are_not_too_many() -> None:
    assert len(suggestions("flows where vm = ", lambda of: [f"vm-{n}" for n in range(9999)])) == MOST


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flows where vm = ", []),
        ("flows where source subnet = ", []),
        ("flows where source country = unit", ["'United Kingdom'", "'United States'"]),
        ("flows where flow type = 'source is", ["'Source is Internet'", "'Source is VM'"]),
        ("flows where protocol = ud", ["UDP"]),
        ("vms where host = ", []),
        ("flows where conn state = ", None),
        ("flows where port = ", None),
    ],
)
def test_values_are_those_that_are_known(
    text: str, expected: list[str] | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Names of the inventory that the history is made with."""
    import yaml

    file = tmp_path_factory.mktemp("known") / "inventory.yaml"
    made = inventory()
    file.write_text(yaml.safe_dump(made))
    known = KnownValues(Enrichment(read_inventory([str(file)])))
    found = [one.text.strip("'") for one in suggestions(text, known)]
    names = {
        "flows where vm = ": [one["name"] for one in made["vms"]],
        "flows where source subnet = ": [one["name"] for one in made["subnets"]],
        "vms where host = ": [one["host"] for one in made["vms"]],
    }
    if expected is None:
        assert found == []
    else:
        wanted = [one.strip("'") for one in expected] or names[text]
        assert wanted
        assert set(wanted) & set(found), found
        if text in names:
            assert set(found) == set(names[text])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("flows where port = 22", [("flows", "name"), ("where", "keyword"), ("port", "name"), ("=", "operator"),
                                   ("22", "value")]),
        ("SUM(bytes) of flows group by vm", [("SUM", "function"), ("bytes", "name"), ("of", "keyword"),
                                             ("flows", "name"), ("group by", "keyword"), ("vm", "name")]),
        ("flows where vm = 'a", [("flows", "name"), ("where", "keyword"), ("vm", "name"), ("=", "operator")]),
        ("flows where sorce = $x", [("flows", "name"), ("where", "keyword"), ("=", "operator"), ("$x", "value")]),
        ("flows ! where", [("flows", "name")]),
        ("! 'x", []),
    ],
)  # fmt: skip
def test_what_is_what(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(text[begin:end], kind) for begin, end, kind in pieces(text)] == expected
