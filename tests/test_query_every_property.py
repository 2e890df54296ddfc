"""Every property of everything that can be asked for, in every place where one can stand.

Oracle: what the dictionary says that there is has an answer, or a line that says why not; of the switch ports one that
was made by hand.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import spanline
from spanline.enrich import Enrichment, read_inventory
from spanline.errors import UsageError
from spanline.query.errors import QueryError
from spanline.query.properties import entities
from spanline.store import Store, counters
from tests.stored import a_store

pytestmark = pytest.mark.usefixtures("apart")

INVENTORY = """\
vms: [{name: a, addresses: 10.1.1.1, macs: "00:15:5d:01:02:03", host: hv-1, vcpus: 2, memory: 8GB}]
subnets: [{cidr: 10.0.0.0/8}]
l2_networks: [{name: l, vlan: 5}]
hosts: [{name: hv-1, cluster: c, addresses: 10.9.9.9}]
port_groups: [{name: p, vlan: 5}]
switch_ports: [{switch: sw, name: e1, index: 7, host: hv-1, speed: 10G}, {switch: sw, name: e2, index: 8}]
"""
READINGS = """\
time,switch,port,in_bytes,out_bytes
2026-01-05T00:00:00Z,sw,e1,0,0
2026-01-05T00:30:00Z,sw,e1,1000,0
"""
HELD = [name for name, entity in entities().items() if entity.is_held]
FORMS = (
    "count of {of} where {name} is set group by {name}",
    "list({name}) of {of}",
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = a_store(tmp_path / "store", 0, count=50)
    (tmp_path / "ports.csv").write_text(READINGS)
    counters.add(store.path, counters.read_csv(str(tmp_path / "ports.csv")))
    return store


@pytest.fixture
def enrichment(tmp_path: Path) -> Enrichment:
    (tmp_path / "inventory.yaml").write_text(INVENTORY)
    return Enrichment(read_inventory([str(tmp_path / "inventory.yaml")]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("entity", HELD)
def test_every_property_has_an_answer_or_a_reason(entity: str, form: str, store: Store, enrichment: Enrichment) -> None:
    answered = 0
    # What holds for sources holds for destinations.
    held = [one for one in entities()[entity].own() if one.is_held and not one.name.startswith("Destination")]
    for name in dict.fromkeys(one.name for one in held):
        with contextlib.suppress(UsageError):
            answered += len(spanline.query(form.format(name=name, of=entity), store, enrichment=enrichment)) >= 0
    assert answered


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("list(Name) of switch ports where Index = 7", [{"Name": "e1"}]),
        ("switch ports where Host = 'hv-1' order by Speed", [{"Name": "e1", "Speed": 10**10}]),
        ("sum(Bytes) of switch ports group by Index", [{"Index": 7, "sum(Total Traffic)": 1000.0}, {"Index": 8}]),
    ],
)
def test_switch_ports_have_what_the_inventory_knows(
    text: str, rows: list[dict[str, object]], store: Store, enrichment: Enrichment
) -> None:
    found = spanline.query(text, store, enrichment=enrichment).to_pylist()
    assert [expected.items() <= row.items() for row, expected in zip(found, rows, strict=True)] == [True] * len(rows)


@pytest.mark.parametrize(
    "text",
    [
        "flows group by Duration",
        "flows group by Port, Total Traffic",
        "list(Packets) of flows",
        "flows where Port in (list(Packets) of flows)",
        "flows where Port in (Packets of flows)",
    ],
)
def test_flows_are_not_told_apart_by_what_they_add_up_to(text: str, store: Store) -> None:
    with pytest.raises(QueryError, match="flows are neither grouped nor listed by a number, as"):
        spanline.query(text, store)
