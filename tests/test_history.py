"""The generated history is what it says it is, and has in it what the queries' traps need.

Oracle: the definitions of flow records (schema.FLOW); for who an address is, spanline's lookups, which know the
inventory and the country database but not the generator.
"""

from pathlib import Path

import numpy as np
import pytest
import yaml
from history import DAY, END, HOUR, RECORD, SECOND, TRAFFIC, History, counters, history
from history_places import NO_VLAN, inventory
from traffic_frames import NONE

from spanline.enrich import Enrichment
from spanline.enrich.inventory_files import read_inventory
from tests import history_truth
from tests.history_truth import ADMIN_PORTS, Truth, answer, grouped, listing

FLOWS = 5000
FIVE_TUPLE = ("source", "destination", "source_port", "port", "protocol")


@pytest.fixture(scope="module")
def made() -> History:
    return history(FLOWS)


@pytest.fixture(scope="module")
def day(made: History) -> Truth:
    return Truth(made, DAY)


def test_the_same_seed_makes_the_same_history(made: History) -> None:
    assert history(FLOWS).table().equals(made.table())
    assert not history(FLOWS, seed=2).table().equals(made.table())


def test_records_are_such_as_crunch_writes(made: History) -> None:
    assert abs(len(np.unique(made.flow)) - FLOWS) < FLOWS // 5
    assert (np.diff(made.first_seen) >= 0).all()
    length = made.last_seen - made.first_seen
    assert length.min() == 0
    assert length.max() < RECORD + SECOND
    assert made.last_seen.max() == END
    packets = made.packets.sum(axis=1)
    assert (packets > 0).all()
    assert (length[packets == 1] == 0).all()
    assert (made.bytes >= made.packets).all()


def test_records_of_a_flow_follow_one_another(made: History) -> None:
    order = np.lexsort((made.first_seen, made.flow))
    flow, first, last = made.flow[order], made.first_seen[order], made.last_seen[order]
    again = np.flatnonzero(flow[1:] == flow[:-1]) + 1
    assert len(again) > 100
    assert (first[again] > last[again - 1]).all()
    assert made.goes_on[order][again - 1].all()
    assert (made.begins[order] == np.isin(np.arange(len(order)), again, invert=True)).all()
    for name in FIVE_TUPLE:
        values = getattr(made, name)[order]
        assert (values[again] == values[again - 1]).all()


def test_no_two_flows_have_the_same_five_tuple(made: History) -> None:
    begins = made.begins
    who = made.places.address.view("V16").reshape(-1)
    ends = [who[getattr(made, name)[begins]].tolist() for name in FIVE_TUPLE[:2]]
    rest = [getattr(made, name)[begins].tolist() for name in FIVE_TUPLE[2:]]
    assert len(set(zip(*ends, *rest, strict=True))) == begins.sum()


@pytest.mark.parametrize("name", ["vm", "host", "subnet", "l2_network", "country"])
def test_lookups_find_who_was_made(made: History, name: str, tmp_path: Path) -> None:
    file = tmp_path / "inventory.yaml"
    file.write_text(yaml.safe_dump(inventory()))
    enrichment = Enrichment(read_inventory([str(file)]))
    for ends in (made.source, made.destination):
        addresses = made.places.address[ends]
        found = enrichment.look_up(addresses, [name], vlans=made.vlan(), vnis=made.vni(), times=made.first_seen)
        known = made.places.texts(name)[ends].tolist()
        assert [text or "" for text in found[name].to_pylist()] == known


def test_some_flows_lie_over_the_beginning_of_each_window(made: History) -> None:
    for days in (1, 2, 7):
        edge = END - days * DAY
        over = (made.began < edge) & (made.last_seen >= edge) & (made.first_seen < edge)
        assert len(np.unique(made.traffic[over])) > len(TRAFFIC) * 2 // 3
        inside = ~made.begins & (made.began < edge) & (made.first_seen >= edge)
        assert inside.sum() > 20, "records whose flow began before the window"


def test_what_is_inside_a_window_is_what_its_buckets_hold(day: Truth) -> None:
    whole = np.zeros(len(day.at), int)
    _, packets, rate = day.series(whole, 1)
    seconds = np.diff(np.clip([*day.buckets(), day.end], day.begin, day.end)) / SECOND
    assert packets.sum() == pytest.approx(day.inside(day.packets).sum(), rel=1e-12)
    assert (rate * seconds).sum() / 8 == pytest.approx(day.inside(day.bytes).sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("hours", "seconds"), [(1, 50), (24, 1000), (48, 2000), (7 * 24, 10_000), (14 * 24, 20_000), (100 / 36, 100)]
)
def test_buckets_are_a_hundredth_of_the_window_or_a_little_longer(hours: float, seconds: int) -> None:
    assert history_truth.step(int(hours * HOUR)) == seconds * SECOND


def test_one_address_is_two_machines(made: History) -> None:
    """Tenants with the same addresses, and a machine that was renamed."""
    by_address: dict[bytes, set[str]] = {}
    for address, one in zip(made.places.address, made.places.endpoints, strict=True):
        by_address.setdefault(address.tobytes(), set()).add(one.vm)
    shared = [names for names in by_address.values() if len(names) > 1]
    assert {"red-01", "blue-01"} in shared
    assert {"old-app", "new-app"} in shared


def test_not_in_without_the_missing_would_lose_the_internet(day: Truth) -> None:
    source, destination = day.source("l2_network"), day.destination("l2_network")
    asked = (source == "vlan-1105") & (destination != "vlan-1105")
    assert 0 < len(listing(day, asked & (destination != "")).rows) < len(listing(day, asked).rows)


def test_sessions_flows_and_records_differ(day: Truth) -> None:
    admin = day.has_port(ADMIN_PORTS) & day.is_east_west()
    assert len({int(admin.sum()), int(day.only(admin).begins.sum()), len(listing(day, admin).rows)}) == 3


def test_bytes_at_the_window_edge_count_in_part(day: Truth) -> None:
    assert day.inside(day.bytes).sum() < day.bytes.sum()


def test_client_and_server_are_not_the_same(day: Truth) -> None:
    by_client, by_server = (
        dict(grouped(day, "Country", names).rows) for names in (day.source("country"), day.destination("country"))
    )
    assert by_client != by_server


def test_what_has_no_name_would_be_first_by_its_size(made: History) -> None:
    rows = answer(4, made, {}).rows
    assert rows[-1][0] is None
    assert rows[-1][1] > rows[0][1]


@pytest.mark.parametrize("number", history_truth.ANSWERS)
def test_each_query_shows_something(number: int, made: History) -> None:
    found = answer(number, made, counters())
    assert found.rows
    assert all(len(row) == len(found.columns) for row in found.rows)


def test_a_country_is_asked_for_that_is_inside_and_outside(day: Truth) -> None:
    """The company's own public addresses are in the United Kingdom too, and so is much of the internet."""
    there = day.destination("country") == "United Kingdom"
    assert {"internal", "internet"} <= set(day.destination("reach")[there].tolist())


def test_frames_of_tenants_and_networks_are_tagged(made: History) -> None:
    assert {5001, 5002, NONE} == set(made.vni().tolist())
    assert {1101, 1103, 1105, 1107, 66, NO_VLAN} == set(made.vlan().tolist())
