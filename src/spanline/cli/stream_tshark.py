"""One stream as tshark 4.0 prints it with -z follow, letter by letter."""

from __future__ import annotations

from collections.abc import Iterator

from spanline.stages.ends import end_text
from spanline.stages.follow import Follow, Record

_RULE = "=" * 67
STYLES = {"text": "ascii", "hex": "hex", "raw": "raw"}
"""Our names of the ways to show bytes, and tshark's."""


def stream_lines(stream: Follow, style: str) -> Iterator[str]:
    """What tshark -q -z follow,tcp,ascii,N prints; `style` is a key of STYLES."""
    assert stream.ends is not None
    yield from ("", _RULE, f"Follow: {stream.transport},{STYLES[style]}")
    yield f"Filter: {stream.transport}.stream eq {stream.number}"
    for node, end in enumerate(stream.ends):
        yield f"Node {node}: {end_text(*end)}"
