"""The main job in one call: a capture in, a Table out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from spanline.community import with_community_id
from spanline.pipeline import Capture, PathLike, open
from spanline.stages.flows import Flows


def flows(capture: Capture | PathLike | Sequence[PathLike], **options: Any) -> pa.Table:
    """The flows of a capture with their round-trip times: a Table of schema.FLOW, by time of the first packet.

    `capture` is what spanline.open() returns or takes. Options are those of stages.flows.Flows (idle_timeout,
    active_timeout, by_vlan, by_vni, whole_frames, memory). All flows are held in memory; `spanline crunch` writes them
    out as they end. Times are timestamps in ns UTC, round-trip times durations in ns, null where unknown.

    Raises CaptureError when nothing could be read; what was wrong with files that were read in part is in the
    capture's `problems`.
    """
    if not isinstance(capture, Capture):
        capture = open(capture)
    stage = Flows(**options)
    parts = []
    for _ in capture.run(stage):
        if stage.pending:
            parts.append(stage.drain()["flows"])
    parts.append(stage.tables()["flows"])
    return with_community_id(pa.concat_tables(parts).sort_by("first_seen"))
