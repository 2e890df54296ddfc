"""Segments that captures with --keep have left in a folder: they count among those of the next one.

A service that is started again has its ring of files still; without this, each start would leave as many for ever. A
segment of such a capture says so in its first block, so that nothing else is ever deleted, whatever it is called.
"""

from __future__ import annotations

import re
from pathlib import Path

from spanline.segment_files import UNFINISHED, left_over
from spanline.sources.streams import ByteStream

MARK = "spanline capture --keep: this segment goes when newer ones take its place"
"""The section's comment, its first option."""

_COMMENT_AT = 28
"""Bytes of the section header before it."""


def kept_before(folder: Path, name: str) -> list[tuple[Path, int]]:
    """(path, bytes) of the marked segments of `name`, the oldest first, those that were not ended among them.

    None while another capture of that name writes there, which deletes its own.
    """
    shape = re.compile(rf"{re.escape(name)}-\d{{8}}T\d{{6}}\.\d{{6}}Z-\d{{6,}}\.pcapng(\.zst|\.lz4)?({UNFINISHED})?")
    found = sorted(path for path in folder.iterdir() if shape.fullmatch(path.name))
    if {path for path in found if path.suffix == UNFINISHED}.difference(left_over(folder)):
        return []
    return [(path, path.stat().st_size) for path in found if _is_kept(path)]


def _is_kept(path: Path) -> bool:
    """Whether it has the mark, or was ended before it had anything."""
    head = bytearray(_COMMENT_AT + len(MARK))
    try:
        if not path.is_file():
            return False
        stream = ByteStream(str(path.absolute()))
    except OSError:  # not ours, or gone meanwhile
        return False
    try:
        count = stream.readinto(memoryview(head))
    finally:
        stream.close()
    return head.endswith(MARK.encode()) or (not count and path.suffix == UNFINISHED)
