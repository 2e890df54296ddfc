"""Flows: both directions of a conversation in one record, with its handshake's round-trip times."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline import _decode, _flows
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.protocols.tables import application_set
from spanline.schema import FLOW_RECORD_DTYPE
from spanline.stages.flow_table import flows_table

IDLE_TIMEOUT = 120.0
ACTIVE_TIMEOUT = 1800.0
MEMORY = 1 << 30
ROWS_AT_ONCE = 1 << 15
"""Flows of which a Table is made at a time: few enough for memory, a row group that queries skip through well."""

FLOW_ORDER = ("first_seen", "last_seen", "source", "destination", "source_port", "destination_port", "protocol", "vni")
"""Columns by which flows are sorted that are otherwise equal: the same capture gives the same Table, however the work
is divided."""


class Flows:
    """The flow table as a stage; its Table is "flows" (schema.FLOW without community_id, which is computed when read).

    idle_timeout    seconds without a packet after which a flow has ended; None: never
    active_timeout  seconds after which a flow is cut into several records; None: never
    by_vlan         frames of different VLANs are different flows
    by_vni          frames of different tunnels (VNI, GRE key, ERSPAN session) are different flows
    whole_frames    count bytes of the whole frame, as tshark does, and not of the innermost one
    memory          bytes that live flows may take; beyond, the least recently used end as "evicted"
    parts           tables that share the flows by their hash, so that several threads can work on them
    shard           (n, of): take only the flows of the n-th, from 0, of so many parts; merge() joins the parts

    Which end is the originator, when flows end and what the columns mean: docs/flows.md. However the work is divided,
    the flows are the same, as long as none is evicted.
    """

    def __init__(
        self,
        *,
        idle_timeout: float | None = IDLE_TIMEOUT,
        active_timeout: float | None = ACTIVE_TIMEOUT,
        by_vlan: bool = False,
        by_vni: bool = True,
        whole_frames: bool = False,
        memory: int = MEMORY,
        parts: int = 1,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self._options: dict[str, Any] = {
            "idle_timeout": _nanoseconds("idle timeout", idle_timeout),
            "active_timeout": _nanoseconds("active timeout", active_timeout),
            "key_vlan": by_vlan,
            "key_vni": by_vni,
            "whole_frames": whole_frames,
        }
        number, of = shard
        if parts < 1 or not 0 <= number < of:
            raise UsageError(f"{parts} parts, shard {number} of {of}: there are no such flows")
        self._tables = [
            _flows.FlowTable(
                seed=_decode.SEED,
                max_flows=memory // parts // _flows.BYTES_PER_FLOW,
                shard=number * parts + n,
                shards=of * parts,
                **self._options,
                applications=application_set(),
                patterns=patterns,
            )
            for n in range(parts)
        ]
        # drain() may be called while other threads go on with update().
        self._locks = [threading.Lock() for _ in self._tables]
        self.steps = [functools.partial(self._update, n) for n in range(parts)]
        """update() in parts, for several threads: each takes all batches in order."""

    def update(self, batch: Batch) -> None:
        for step in self.steps:
            step(batch)

    def _update(self, part: int, batch: Batch) -> None:
        with self._locks[part]:
            self._tables[part].update(batch.packets.view(np.uint8), batch.buffers)
            if batch.clock is not None:
                self._tables[part].advance(batch.clock)

    def drain(self) -> Mapping[str, pa.Table]:
        """Flows that ended since the last call, by time of their first packet."""
        return {"flows": flows_table(self._drained())}

    def _drained(self) -> npt.NDArray[np.void]:
        parts = []
        for table, lock in zip(self._tables, self._locks, strict=True):
            with lock:
                parts.append(table.drain())
        return (parts[0] if len(parts) == 1 else np.concatenate(parts)).view(FLOW_RECORD_DTYPE)

    def tables(self) -> Mapping[str, pa.Table]:
        return {"flows": in_order(list(self.rest()))}

    def rest(self) -> Iterator[pa.Table]:
        """tables() in parts, at least one: all that is live as one Table would take several times its memory."""
        for n, table in enumerate(self._tables):
            finished = False
            while not finished:
                finished = table.finish(ROWS_AT_ONCE)
                # Few flows of several tables become one Table.
                if not finished or self.pending >= ROWS_AT_ONCE or n == len(self._tables) - 1:
                    yield self.drain()["flows"]

    def merge(self, other: Flows) -> None:
        """Joins the flows of another part of the same traffic, which saw the same time pass; `other` is over then.

        No flow may be in both. Raises UsageError when they do not make flows in the same way.
        """
        if self._options != other._options:
            raise UsageError("these flows were made with other options", hint="merge parts of one analysis")
        for table in other._tables:
            self._take_over(table.records(), table.drain(), table.counts)
        self._tables[0].clock = max(table.clock for table in (*self._tables, *other._tables))

    @property
    def share(self) -> Flows:
        """What of it several processes do: see workers.worker.Divided."""
        return self

    def hand_over(self, over: bool) -> tuple[int, tuple[bytes, tuple[int, int, int]] | None]:
        """How many frames are in it, and records of flows that have ended, with their counts; None when there are none.

        When the traffic is `over`, flows end here, some at each call.
        """
        if over:
            for table in self._tables:
                table.finish(ROWS_AT_ONCE)
        records = self._drained()
        flow_packets, non_flow_packets, evicted = _sums([table.counts for table in self._tables])
        # Those of flows that live stay here, and are lost with them.
        ended = flow_packets if over and not self.live else int(records["direction"]["packets"].sum())
        others = non_flow_packets if over else 0
        self._set_counts(flow_packets - ended, non_flow_packets - others, 0)
        if not (len(records) or ended or others or evicted):
            return 0, None
        return ended + others, (records.tobytes(), (ended, others, evicted))

    def take_over(self, finished: tuple[bytes, tuple[int, int, int]]) -> None:
        """What another process's hand_over() gave: drain() gives it here."""
        records, counts = finished
        self._tables[0].add_finished(np.frombuffer(records, np.uint8))
        self._set_counts(*_sums([*(table.counts for table in self._tables), counts]))

    def _set_counts(self, flow_packets: int, non_flow_packets: int, evicted: int) -> None:
        for table in self._tables:
            table.counts = 0, 0, 0
        self._tables[0].counts = flow_packets, non_flow_packets, evicted

    def forget(self) -> None:
        """What has ended is for another process to tell."""
        self._drained()
        self._set_counts(0, 0, 0)

    def state(self) -> dict[str, Any]:
        """All that is known, as plain values and bytes: restore() in another process goes on exactly from here."""
        tables = self._tables
        ended = [table.drain() for table in tables]
        for table, records in zip(tables, ended, strict=True):
            table.add_finished(records)
        return {
            **self._options,
            "clock": tables[0].clock,
            "counts": _sums([table.counts for table in tables]),
            "live": b"".join(table.records().tobytes() for table in tables),
            "ended": b"".join(records.tobytes() for records in ended),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where state() was taken: for a new stage. Raises UsageError when its options are others."""
        if any(state[name] != value for name, value in self._options.items()):
            raise UsageError("this state is of flows made with other options")
        live, ended = (np.frombuffer(state[name], np.uint8) for name in ("live", "ended"))
        self._take_over(live, ended, state["counts"])
        for table in self._tables:
            table.clock = state["clock"]

    def _take_over(
        self, live: npt.NDArray[np.uint8], ended: npt.NDArray[np.uint8], counts: tuple[int, int, int]
    ) -> None:
        tables = self._tables
        for table in tables:
            live = table.adopt(live)
        # What belongs to none of these tables was another part's; here it has to live all the same.
        tables[0].adopt(live, True)
        tables[0].add_finished(ended)
        tables[0].counts = _sums([tables[0].counts, counts])

    @property
    def live(self) -> int:
        """Flows that have not ended."""
        return sum(table.live for table in self._tables)

    @property
    def pending(self) -> int:
        """Flows that ended and that drain() would give."""
        return sum(table.pending for table in self._tables)

    @property
    def evicted(self) -> int:
        """Flows ended by the memory cap."""
        return sum(table.counts[2] for table in self._tables)

    @property
    def flow_packets(self) -> int:
        """Frames that were counted into flows."""
        return sum(table.counts[0] for table in self._tables)

    @property
    def non_flow_packets(self) -> int:
        """Frames that were decoded and have no IP layer."""
        return sum(table.counts[1] for table in self._tables)


def patterns(heads: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Protocols by what conversations begin with; hyperscan is loaded when there is something to look at."""
    from spanline.protocols.patterns import patterns as known

    return known()(heads)


def _sums(counts: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    flow_packets, non_flow_packets, evicted = map(sum, zip(*counts, strict=True))
    return flow_packets, non_flow_packets, evicted


def in_order(parts: Sequence[pa.Table]) -> pa.Table:
    """Flows of several Tables as one, by time of their first packet."""
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in FLOW_ORDER])


def _nanoseconds(what: str, seconds: float | None) -> int:
    if seconds is None:
        return 0
    if not 0 < seconds < 1e9:
        raise UsageError(f"an {what} of {seconds} s makes no sense", hint="give seconds above 0, or none for never")
    return round(seconds * 1e9)
