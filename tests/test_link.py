"""Watching an interface.

Oracle: what the test did to it with iproute2, and the kernel's own answers (if_nametoindex(3), ip-link(8)).
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from spanline.sources import link
from spanline.sources.link import Link, LinkWatch, no_such_interface
from tests.lab.hosts import wait_for
from tests.own_network import FAR, NEAR, Sender, impossible, ip, lay_cable, open_descriptors

pytestmark = [
    pytest.mark.lab,
    pytest.mark.usefixtures("network"),
    pytest.mark.skipif(bool(impossible()), reason=impossible() or "-"),
]


@pytest.fixture
def watch() -> Iterator[LinkWatch]:
    one = LinkWatch(NEAR)
    yield one
    one.close()


def look(watch: LinkWatch, seconds: float = 0.2) -> Link:
    """The last of the looks that its descriptor asked for in some time."""
    poll = select.poll()
    descriptor = watch.fileno()
    assert descriptor is not None
    poll.register(descriptor, select.POLLIN)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            watch.look()
    return watch.look()


def whats(watch: LinkWatch) -> list[str]:
    """What all gaps are, with an ellipsis when one lasts."""
    return [gap.what + ("…" if gap.end is None else "") for gap in watch.gaps]


# What is done, what the gaps are then, how often the interface was made, and whether it is up.
MAKE = f"link add name {NEAR} type veth peer name {FAR}", f"link set {NEAR} up", f"link set {FAR} up"
DONE: dict[str, tuple[tuple[str, ...], list[str], int, bool]] = {
    "nothing": ((), [], 1, True),
    "down": ((f"link set {NEAR} down",), ["down…"], 1, False),
    "down and up": ((f"link set {NEAR} down", f"link set {NEAR} up"), ["down"], 1, True),
    "down and up, twice": ((f"link set {NEAR} down", f"link set {NEAR} up") * 2, ["down"] * 2, 1, True),
    "other end down and up": ((f"link set {FAR} down", f"link set {FAR} up"), ["down"], 1, True),
    "deleted": ((f"link del {NEAR}",), ["gone…"], 1, False),
    "down, then deleted": ((f"link set {NEAR} down", f"link del {NEAR}"), ["gone…"], 1, False),
    "deleted and made anew": ((f"link del {NEAR}", *MAKE), ["gone"], 2, True),
    "made anew, but down": ((f"link del {NEAR}", MAKE[0]), ["gone…"], 2, False),
    "made anew three times": ((f"link del {NEAR}", *MAKE) * 3, ["gone"] * 3, 4, True),
    "made anew under its number": (
        (f"link del {NEAR}", f"link add name {NEAR} index 77 type veth peer name {FAR}", *MAKE[1:])
        + (f"link del {NEAR}", f"link add name {NEAR} index 77 type veth peer name {FAR}", *MAKE[1:]),
        ["gone"] * 2,
        3,
        True,
    ),
    "renamed": (
        (f"link set {NEAR} down", f"link set {NEAR} name other0", "link set other0 up"),
        ["down"],
        1,
        True,
    ),
    "port of a bridge": (
        ("link add name bridge0 type bridge", f"link set {NEAR} master bridge0", f"link set {NEAR} nomaster"),
        [],
        1,
        True,
    ),
    "another one deleted": (("link add name b0 type bridge", "link del b0"), [], 1, True),
    "address and queue": ((f"link set {NEAR} address 02:00:00:00:00:99 txqueuelen 77",), [], 1, True),
}


@pytest.mark.parametrize("name", DONE)
def test_nothing_is_missed_between_looks(watch: LinkWatch, name: str) -> None:
    """All of it happens before the next look."""
    commands, gaps, life, is_up = DONE[name]
    before = time.time_ns()
    ip(*commands)
    if "other end" in name:
        look(watch, 1.2)  # the kernel tells of a carrier once a second
    now = look(watch)
    assert whats(watch) == gaps
    assert (now.life, now.is_up) == (life, is_up)
    there = {name: index for index, name in socket.if_nameindex()}
    assert now.index == there.get("other0" if name == "renamed" else NEAR, 0)
    for gap in watch.gaps:
        assert gap.interface == NEAR
        assert before <= gap.begin <= (gap.end or time.time_ns()) <= time.time_ns()


def test_gaps_last_as_long_as_the_link_was_down(watch: LinkWatch) -> None:
    ip(f"link set {NEAR} down")
    look(watch, 0.3)
    ip(f"link set {NEAR} up")
    look(watch)
    (gap,) = watch.gaps
    assert gap.end is not None
    assert 0.05e9 < gap.end - gap.begin < 30e9


def test_more_news_than_the_socket_holds(watch: LinkWatch) -> None:
    """The kernel drops what is not read; the state is right all the same, and something was noticed."""
    ip(*(f"link set {NEAR} down", f"link set {NEAR} up") * 300)
    assert look(watch).is_up
    assert set(whats(watch)) == {"down"}
    ip(*(f"link set {NEAR} down", f"link set {NEAR} up") * 300, f"link del {NEAR}")
    assert not look(watch).is_up
    assert whats(watch)[-1] == "gone…"


def test_interface_that_comes_later() -> None:
    watch = LinkWatch("later0")
    assert watch.look() == Link()
    ip("link add name later0 type veth peer name later1", "link set later0 up", "link set later1 up")
    assert look(watch) == Link(socket.if_nametoindex("later0"), True, 1)
    assert whats(watch) == ["gone"]
    watch.close()


@pytest.mark.parametrize("name", ["", "x" * 16, "x" * 400, "a b", "ä", "near"])
def test_names_that_there_are_not(name: str) -> None:
    watch = LinkWatch(name)
    assert watch.look() == Link()
    watch.close()


def test_error_names_what_there_is() -> None:
    assert str(no_such_interface("eth7")) == f"there is no interface 'eth7'; there are lo, {FAR}, {NEAR}"
    ip(*(f"link add name bridge{n} type bridge" for n in range(12)))
    assert str(no_such_interface("eth7")).count(",") == 10
    assert str(no_such_interface("eth7")).endswith("bridge6, …")


def test_what_the_interface_missed_is_read(watch: LinkWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual cable misses nothing. The first of the same counters, frames received, shows that they are found."""
    assert watch.missed() == 0
    with Sender() as sender:
        sender.send(*[bytes(60)] * 7)
    assert watch.missed() == 0
    monkeypatch.setattr(link, "_RX_MISSED_ERRORS", 0)
    assert watch.missed() == 7


def test_no_descriptors_are_left() -> None:
    before = open_descriptors()
    for _ in range(50):
        LinkWatch(NEAR).close()
    assert open_descriptors() == before


def test_where_only_names_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and BSD: an interface is there or it is not, and the reader says when nothing can be read."""
    monkeypatch.setattr(sys, "platform", "freebsd14")
    watch = LinkWatch(NEAR)
    monkeypatch.undo()
    assert watch.fileno() is None
    assert watch.look() == Link(socket.if_nametoindex(NEAR), True, 1)
    watch.declare(is_up=False)
    assert not watch.look().is_up
    watch.declare(is_up=True)
    ip(f"link del {NEAR}")
    assert watch.look() == Link(0, False, 1)
    lay_cable()
    wait_for("the interface", lambda: watch.look() == Link(socket.if_nametoindex(NEAR), True, 2))
    assert whats(watch) == ["down", "gone"]
    watch.close()
