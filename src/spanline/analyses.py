"""The main job in one call: a capture in, a Table out."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from spanline.community import with_community_id
from spanline.pipeline import Capture, PathLike, open
from spanline.stages.flows import ACTIVE_TIMEOUT, IDLE_TIMEOUT, MEMORY, ROWS_AT_ONCE, Flows, in_order


def flows(
    capture: Capture | PathLike | Sequence[PathLike],
    *,
    idle_timeout: float | None = IDLE_TIMEOUT,
    active_timeout: float | None = ACTIVE_TIMEOUT,
    by_vlan: bool = False,
    by_vni: bool = True,
    whole_frames: bool = False,
    memory: int = MEMORY,
) -> pa.Table:
    """The flows of a capture with their round-trip times: a Table of schema.FLOW, by time of the first packet.

    `capture` is what spanline.open() returns or takes; open it yourself for another VXLAN port or to verify checksums.
    The options are those of stages.flows.Flows: timeouts in seconds, None for never; memory in bytes. All flows are
    held in memory; `spanline crunch` writes them out as they end. Times are timestamps in ns UTC, round-trip times
    durations in ns, null where unknown.

    Raises CaptureError when nothing could be read; what was wrong with files that were read in part is in the
    capture's `problems`.
    """
    if not isinstance(capture, Capture):
        capture = open(capture)
    stage = Flows(
        idle_timeout=idle_timeout,
        active_timeout=active_timeout,
        by_vlan=by_vlan,
        by_vni=by_vni,
        whole_frames=whole_frames,
        memory=memory,
    )
    parts = []
    for _ in capture.run(stage):
        if stage.pending >= ROWS_AT_ONCE:
            parts.append(stage.drain()["flows"])
    parts.append(stage.tables()["flows"])
    return with_community_id(in_order(parts))
