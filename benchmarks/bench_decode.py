"""Decoding: a capture file in, structured arrays out."""

from __future__ import annotations

from peers.captures import Measure, Traffic

import spanline


def bench_decode(capture: Traffic, measure: Measure) -> None:
    """Read and decode every frame into rows of schema.PACKET and schema.TUNNEL."""
    measure(capture, lambda: sum(len(batch.packets) for batch in spanline.open(capture.path)))


def bench_layers(capture: Traffic, measure: Measure) -> None:
    """The same, and list every header of every frame, as display filters need them."""

    def read() -> int:
        packets = 0
        for batch in spanline.open(capture.path):
            packets += len(batch.packets)
            assert len(batch.layers) >= len(batch.packets)
        return packets

    measure(capture, read)
