"""libpcap on interfaces that go down, are deleted and made anew.

Oracle: the frames that the test sent, and what it did to the interface.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from spanline.chunk import Interfaces
from spanline.errors import CaptureError
from spanline.sources.libpcap import PcapSource
from spanline.sources.live import TICK
from tests.lab.hosts import wait_for
from tests.live_frames import PATIENCE, SMALL, agree, frames_of, numbered, opened, reading
from tests.own_network import FAR, NEAR, Sender, impossible, ip, lay_cable, open_descriptors

pytestmark = [
    pytest.mark.lab,
    pytest.mark.usefixtures("network"),
    pytest.mark.skipif(bool(impossible()), reason=impossible() or "-"),
]


@pytest.fixture
def sender() -> Iterator[Sender]:
    with Sender() as one:
        yield one


@pytest.mark.parametrize("fault", [f"link set {NEAR} down", f"link set {FAR} down"])
def test_link_down_and_up(sender: Sender, fault: str) -> None:
    with reading() as reader:
        sender.send(*[numbered(1)] * 50)
        reader.wait(50)
        for n in range(1, 4):
            ip(fault)
            wait_for("the gap", lambda n=n: len(reader.source.gaps) == n)
            ip(fault.replace("down", "up"))
            wait_for("its end", lambda: reader.source.gaps[-1].end is not None)
            sender.send(*[numbered(2)] * 50)
            reader.wait(50 + 50 * n)
        assert len(reader.stop()) == 200
        assert [gap.what for gap in reader.source.gaps] == ["down"] * 3
        agree(reader.source, 200)


def make_anew() -> None:
    ip(f"link del {NEAR}")
    lay_cable()


def test_interface_deleted_and_made_anew() -> None:
    """Its counters begin again at 0, ours go on."""
    with reading() as reader:
        for n in range(1, 4):
            with Sender() as sender:
                sender.send(*[numbered(n)] * 100)
            reader.wait(100 * n)
            make_anew()
            wait_for("the gap's end", lambda n=n: [gap.end is None for gap in reader.source.gaps] == [False] * n)
        # It may have been bound after the gap's end.
        with Sender() as sender:
            time.sleep(2 * TICK)
            sender.send(*[numbered(4)] * 100)
            reader.wait(400)
        assert reader.stop() == [numbered(n) for n in range(1, 5) for _ in range(100)]
        assert [gap.what for gap in reader.source.gaps] == ["gone"] * 3
        agree(reader.source, 400)


def test_frames_that_waited_when_it_was_deleted(sender: Sender) -> None:
    """What had come is read, and what comes to the new interface after it."""
    with opened() as source:
        sender.send(*[numbered(1)] * 30)
        make_anew()
        chunks = source.chunks()
        frames: list[bytes] = []
        end = time.monotonic() + PATIENCE
        while len(frames) < 40 and time.monotonic() < end:
            frames += frames_of(next(chunks))
            if len(frames) == 30 and source.gaps and source.gaps[-1].end:
                with Sender() as again:
                    again.send(*[numbered(2)] * 10)
        assert frames[:40] == [numbered(1)] * 30 + [numbered(2)] * 10
        source.stop()
        rest = [frame for chunk in chunks for frame in frames_of(chunk)]
        agree(source, 40 + len(rest))


def test_still_gone_at_the_end() -> None:
    with reading() as reader:
        ip(f"link del {NEAR}")
        wait_for("the gap", lambda: bool(reader.source.gaps))
        reader.stop()
        assert [(gap.what, gap.end) for gap in reader.source.gaps] == [("gone", None)]
        agree(reader.source, 0)


def test_no_privileges_are_needed_to_go_on() -> None:
    """CAP_NET_RAW may be given up once the source is open."""
    code = """
import sys
from spanline.chunk import Interfaces
from spanline.sources.libpcap import PcapSource
from spanline.sources.live import LiveOptions
import os
source = PcapSource(sys.argv[1], Interfaces(), LiveOptions(blocks=4, duration=20))
os.setgroups([]), os.setgid(65534), os.setuid(65534)
print("ready", flush=True)
for chunk in source.chunks():
    if source.gaps and source.gaps[-1].end is not None and source.arrivals.read < 10:
        print("again", flush=True)
    if source.arrivals.read == 10:
        source.stop()
print(source.arrivals.read)
"""
    process = subprocess.Popen([sys.executable, "-c", code, NEAR], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    make_anew()
    assert process.stdout.readline() == "again\n"
    with Sender() as sender:
        sender.send(*[numbered(1)] * 10)
    assert process.communicate(timeout=30)[0].splitlines()[-1] == "10"


def test_another_link_layer_under_the_same_name() -> None:
    with opened() as source:
        chunks = source.chunks()
        ip(f"link del {NEAR}", f"tuntap add dev {NEAR} mode tun", f"link set {NEAR} up")
        with pytest.raises(CaptureError, match="another link layer"):
            list(chunks)


def test_where_links_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of macOS, BSD and Windows, on this kernel: short sleeps, and libpcap's handle is opened again."""
    monkeypatch.setattr(sys, "platform", "freebsd14")
    descriptors = open_descriptors()
    with reading() as reader:
        for n in range(1, 4):
            with Sender() as sender:
                sender.send(*[numbered(n)] * 100)
            reader.wait(100 * n)
            if n == 2:
                ip(f"link set {NEAR} down")
                wait_for("the gap", lambda: len(reader.source.gaps) == 2)
                ip(f"link set {NEAR} up")
            else:
                make_anew()
            wait_for("the gap's end", lambda n=n: [gap.end is None for gap in reader.source.gaps] == [False] * n)
        assert len(reader.stop()) == 300
        # On this kernel the handle fails before anybody asks for the name.
        assert len(reader.source.gaps) == 3
        agree(reader.source, 300)
    assert open_descriptors() == descriptors


@pytest.mark.parametrize(("platform", "times"), [("linux", 40), ("freebsd14", 10)])
def test_no_descriptors_are_left(monkeypatch: pytest.MonkeyPatch, platform: str, times: int) -> None:
    """Opened many times, and as often made anew meanwhile."""
    monkeypatch.setattr(sys, "platform", platform)
    before = open_descriptors()
    for _ in range(times):
        with opened():
            pass
    assert open_descriptors() == before
    with reading() as reader:
        within = open_descriptors()
        for n in range(times):
            make_anew()
            wait_for("the gap's end", lambda n=n: [gap.end is None for gap in reader.source.gaps] == [False] * (n + 1))
        assert open_descriptors() == within
    assert open_descriptors() == before


def test_interface_that_is_down() -> None:
    ip(f"link set {NEAR} down")
    with pytest.raises(CaptureError, match=f"live:{NEAR}: the link is down; switch it on: ip link set {NEAR} up"):
        PcapSource(NEAR, Interfaces(), SMALL)
