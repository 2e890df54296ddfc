"""Many patterns looked for at once: hyperscan databases, compiled once and kept."""

from __future__ import annotations

from collections.abc import Sequence

import hyperscan

from spanline.keeping import kept


def compiled(expressions: Sequence[bytes], flags: Sequence[int]) -> hyperscan.Database:
    """A database for block mode of `expressions`, numbered in their order, with hyperscan's flags of each. scan() needs
    a hyperscan.Scratch of the caller's: each thread has its own.

    Raises hyperscan.error for a pattern that hyperscan does not know.
    """
    version: str = hyperscan.__version__  # type: ignore[attr-defined]
    source = repr((version, list(expressions), list(flags))).encode()

    def compile_now() -> bytes:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(expressions=list(expressions), ids=list(range(len(expressions))), flags=list(flags))
        return hyperscan.dumpb(database)

    try:
        database = hyperscan.loadb(kept("patterns", source, compile_now), hyperscan.HS_MODE_BLOCK)
        hyperscan.Scratch(database)
    except hyperscan.DatabasePlatformError:  # kept in a home that another kind of processor shares
        database = hyperscan.loadb(compile_now(), hyperscan.HS_MODE_BLOCK)
    return database
