"""Capturing is stopped by one thread while another one closes the source.

Truth: eventfd(2). The number of a closed descriptor may mean another file a moment later.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest

from spanline.chunk import Interfaces
from spanline.sources.libpcap import PcapSource
from spanline.sources.live import LiveOptions, LiveSource
from spanline.sources.ring import RingSource
from tests.own_network import NEAR, impossible, own_network

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(impossible()), reason=impossible() or "-")]

MOMENT = 0.2
SMALL = LiveOptions(block_bytes=1 << 16, blocks=4)


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


@pytest.mark.parametrize("kind", [RingSource, PcapSource])
def test_what_wakes_is_written_to_while_it_is_there(
    kind: Callable[[str, Interfaces, LiveOptions], LiveSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = kind(NEAR, Interfaces(), SMALL)
    closing = threading.Thread(target=source.close)
    write, written = os.eventfd_write, []

    def eventfd_write(descriptor: int, count: int) -> None:
        closing.start()
        closing.join(MOMENT)
        write(descriptor, count)
        written.append(count)

    monkeypatch.setattr(os, "eventfd_write", eventfd_write)
    source.stop()
    closing.join()
    source.stop()
    assert written == [1]
