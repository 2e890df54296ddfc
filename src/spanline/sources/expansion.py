"""How far compressed data may unpack before reading stops.

Time moves from frame to frame, so a compressor has to write something for each, and the headers of records do not
shrink by much more than 10 to 1. Only what nobody captured does: zeros, blocks that say nothing, records without bytes.
The content of frames may be all alike, so much more is granted to them.
"""

from __future__ import annotations

_FREE_BESIDES, _BESIDES_TO_ONE = 1 << 26, 100
_FREE, _TO_ONE = 1 << 32, 10_000


def bomb(used: int, unpacked: int, in_frames: int) -> str:
    """What is wrong with so many bytes of compressed data, of which `in_frames` are the content of frames; else ""."""
    besides = unpacked - in_frames
    if besides > _FREE_BESIDES + _BESIDES_TO_ONE * used:
        what = f"{used:,} bytes unpacked to {besides:,} besides the content of frames, more than {_BESIDES_TO_ONE} to 1"
    elif unpacked > _FREE + _TO_ONE * used:
        what = f"{used:,} bytes unpacked to {unpacked:,}, more than {_TO_ONE:,} to 1"
    else:
        return ""
    return f"reading stopped, this may be a decompression bomb: {what}"
