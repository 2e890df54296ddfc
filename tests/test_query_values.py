"""What is asked of different values: how many there are, the least and the largest; and Flow Type, of which a flow has
several.

Oracle: the flows of the store, counted by Python's sets; of flow types, what a condition selects.
"""

from __future__ import annotations

from typing import Any

import pytest

import spanline
from spanline.enrich import Enrichment, read_inventory
from spanline.query.properties import FLOW_TYPES
from spanline.store import Store
from tests.stored import a_store

INVENTORY = """\
vms:
  - {name: a, addresses: [10.0.0.10, 10.0.0.11], host: hv-1}
  - {name: b, addresses: [10.0.0.12, 10.0.1.10], host: hv-1}
  - {name: c, addresses: [10.0.1.11, 10.0.1.12], host: hv-2}
subnets: [{cidr: 10.0.0.0/24}, {cidr: 10.0.1.0/24}]
"""
ALL = "in last 100 years"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return a_store(tmp_path_factory.mktemp("values") / "store", 0, 3, count=400)


@pytest.fixture(scope="module")
def enrichment(tmp_path_factory: pytest.TempPathFactory) -> Enrichment:
    path = tmp_path_factory.mktemp("values") / "inventory.yaml"
    path.write_text(INVENTORY)
    return Enrichment(read_inventory([str(path)]))


def rows(text: str, store: Store, enrichment: Enrichment | None = None) -> list[dict[str, Any]]:
    return spanline.query(f"{text} {ALL}", store, enrichment=enrichment).to_pylist()


def different(store: Store, column: str, by: str | None = None) -> dict[Any, set[Any]]:
    """The values of a column, by those of another one."""
    found: dict[Any, set[Any]] = {}
    for row in store.read().select([column, *([by] if by else [])]).to_pylist():
        found.setdefault(row[by] if by else None, set()).add(row[column])
    return found


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize(
    ("asked", "column"),
    [("Source IP Address", "source"), ("Destination IP Address", "destination"), ("Source Port", "source_port")],
)
def test_different_values_are_counted(asked: str, column: str, store: Store) -> None:
    (row,) = rows(f"count({asked}), sum(packets) of flows", store)
    (values,) = different(store, column).values()
    assert row[f"count({asked})"] == len(values)
    by_port = {port: len(some) for port, some in different(store, column, "destination_port").items()}
    found = rows(f"count({asked}) of flows group by port order by count({asked})", store)
    assert {row["Port"]: row[f"count({asked})"] for row in found} == by_port
    counts = [row[f"count({asked})"] for row in found]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.usefixtures("apart")
def test_the_least_and_the_largest_value(store: Store) -> None:
    (ports,), (times,) = different(store, "destination_port").values(), different(store, "last_seen").values()
    (row,) = rows("min(port), max(port), max(last seen), count of flows", store)
    assert (row["min(Port)"], row["max(Port)"], row["max(Last Seen)"]) == (min(ports), max(ports), max(times))
    assert rows("count(port), count(bytes) of flows where port = 0 and port = 1", store) == [
        {"count(Port)": 0, "count(Total Traffic)": 0}
    ]


@pytest.mark.usefixtures("apart")
def test_values_stand_beside_series(store: Store) -> None:
    (row,) = rows("series(sum(packets)), count(port), count(bytes) of flows", store)
    assert row["count(Port)"] == len(next(iter(different(store, "destination_port").values())))
    assert row["count(Total Traffic)"] == rows("count of flows", store)[0]["Count"]


@pytest.mark.usefixtures("apart")
def test_a_flow_is_in_the_group_of_each_of_its_types(store: Store, enrichment: Enrichment) -> None:
    texts = [f"count of flows where flow type = '{one}'" for one in FLOW_TYPES]
    expected = {one: rows(text, store, enrichment)[0]["Count"] for one, text in zip(FLOW_TYPES, texts, strict=True)}
    found = {row["Flow Type"]: row["Count"] for row in rows("flows group by flow type", store, enrichment)}
    assert found == {one: count for one, count in expected.items() if count}
    assert len(found) > 8
    listed = [row["Flow Type"] for row in rows("list(flow type) of flows", store, enrichment)]
    assert listed == sorted(found)
    of_flows = rows("Source IP Address, Flow Type of flows", store, enrichment)
    assert sum("Same Host" in row["Flow Type"].split(", ") for row in of_flows) == expected["Same Host"]
    (all_of_them,) = rows("count of flows where flow type is set", store, enrichment)
    assert all_of_them["Count"] == len(of_flows) > 0
