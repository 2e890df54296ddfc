"""Batch: a chunk decoded."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from spanline import _decode, _framing
from spanline.chunk import Chunk, Interfaces
from spanline.pool import Pool
from spanline.schema import (
    ANALYSIS_DTYPE,
    DATAGRAM_DTYPE,
    INNER_FRAME_DTYPE,
    LAYER_DTYPE,
    MESSAGE_DTYPE,
    NO_STREAM,
    OTHER_STREAM_DTYPE,
    PACKET_DTYPE,
    PACKET_FLAGS,
    STREAM_DTYPE,
    TUNNEL_DTYPE,
)

Bytes = npt.NDArray[np.uint8]

PROTOCOLS: tuple[str, ...] = _decode.PROTOCOLS
"""Names of the protocols by their number in `layers` and `verdict_layer`; as tshark's."""

_ALL_PROTOCOLS = (1 << 64) - 1

IP_PROTOCOLS = {"tcp": 6, "udp": 17}

IS_FRAGMENT = 1 << PACKET_FLAGS.index("is-fragment")


class Stacks(Protocol):
    """Distinct stacks of names by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> tuple[str, ...]: ...


class Batch:
    """The frames of a chunk as rows.

    packets       structured array (schema.PACKET), one row a frame, describing its innermost decoded IP layer
    tunnels       structured array (schema.TUNNEL), one row for each encapsulation crossed, by packet and level
    paths         the distinct protocol stacks of the capture; a packet's `path` is an index into it
    buffers       the bytes, uint8: 0 is the chunk's, 1 what was put together from fragments, where there is any
    datagrams     structured array (schema.DATAGRAM), what in buffers[1] is whose
    fragments     how many rows stopped at a fragment that no Reassemble has seen yet
    applications  what may stand behind a transport header, as names in order; `application` is an index into it
    streams       structured array (schema.STREAM), one row a frame: the stream it is of; by Annotate
    other_streams structured array (schema.OTHER_STREAM), those of outer and quoted headers; by Annotate
    analysis      structured array (schema.ANALYSIS), one row a frame, of its innermost TCP; by Annotate(details=True)
    messages      structured array (schema.MESSAGE), messages of applications; by Annotate(messages=True)
    numbers       the frames' numbers in the capture, from 1, uint64
    first_frame   the first of them; 0 when there are no rows
    begun         time of the capture's first frame, ns since the epoch
    previous      times of the frames that stood before these in the capture, int64[n]; the first one's own for itself
    clock         of a live capture: ns since the epoch, up to when every frame that came was given out; None of a file

    Arrays are valid as long as they are held; their memory is used again when nothing refers to it any more. The bytes
    of a live batch are borrowed: nothing comes, and frames are dropped, while too many are held. own() is to be kept.
    """

    def __init__(self, chunk: Chunk, packets: npt.NDArray[np.void], tunnels: npt.NDArray[np.void], decode: Decode,
                 numbers: npt.NDArray[np.uint64], fragments: int = 0, *, begun: int = 0,
                 before: int = 0) -> None:  # fmt: skip
        self.packets = packets
        self.tunnels = tunnels
        self.numbers = numbers
        self.buffers: list[Bytes] = [chunk.buffer]
        self.datagrams = np.empty(0, DATAGRAM_DTYPE)
        self.fragments = fragments
        self.applications: Stacks = ((),)
        self._listed: dict[int, npt.NDArray[np.void]] = {}
        self.begun = begun
        self._before = before
        self._previous: npt.NDArray[np.int64] | None = None
        self.streams = np.empty(0, STREAM_DTYPE)
        self.other_streams = np.empty(0, OTHER_STREAM_DTYPE)
        self.analysis = np.empty(0, ANALYSIS_DTYPE)
        self.messages = np.empty(0, MESSAGE_DTYPE)
        self._chunk = chunk
        self._decode = decode

    def __len__(self) -> int:
        return len(self.packets)

    @property
    def clock(self) -> int | None:
        return self._chunk.clock

    @property
    def first_frame(self) -> int:
        return int(self.numbers[0]) if len(self.numbers) else 0

    def select(self, rows: npt.NDArray[np.bool_]) -> Batch:
        """The batch of only some of its frames, in the same order: `rows` is a mask, bool[n]. The bytes are shared."""
        place = np.cumsum(rows) - 1
        parts = self.tunnels, self.datagrams, self.other_streams, self.messages
        tunnels, datagrams, other_streams, messages = (_only(part, rows[part["packet"]]) for part in parts)
        for part in tunnels, datagrams, other_streams, messages:
            part["packet"] = place[part["packet"]]
        chunk = replace(self._chunk, records=_only(self._chunk.records, rows))
        some = Batch(chunk, _only(self.packets, rows), tunnels, self._decode, self.numbers[rows], begun=self.begun)
        some._previous = self.previous[rows]
        some.buffers, some.datagrams, some.applications = self.buffers, datagrams, self.applications
        some.streams = _only(self.streams, rows) if len(self.streams) else self.streams
        some.analysis = _only(self.analysis, rows) if len(self.analysis) else self.analysis
        some.other_streams, some.messages = other_streams, messages
        if self.fragments:
            some.fragments = int(np.count_nonzero(some.packets["flags"] & IS_FRAGMENT))
        return some

    @property
    def borrows(self) -> bool:
        """Whether buffers[0] is memory of a live source, which has to go back soon."""
        return self._chunk.borrowed

    def own(self) -> Batch:
        """The batch, itself or a copy, that borrows nothing: what is to be kept, or to wait for somebody.

        Only the bytes of its frames are copied, and stay where they are in the buffer; the rest of it has any content.
        """
        if not self._chunk.borrowed:
            return self
        buffer = self._decode.buffers.take(len(self._chunk.buffer))
        _framing.copy_frames(self._chunk.buffer, self._chunk.records.view(np.uint8), buffer)
        owned = copy(self)
        owned._chunk = replace(self._chunk, buffer=buffer, borrowed=False)
        owned.buffers = [buffer, *self.buffers[1:]]
        owned._listed = dict(self._listed)
        return owned

    @property
    def previous(self) -> npt.NDArray[np.int64]:
        if self._previous is None:
            self._previous = np.concatenate([[self._before], self.packets["timestamp"]])[:-1]
        return self._previous

    def reassemble(self, table: _decode.Reassembly, pool: Pool) -> None:
        """Gives the fragments to `table`, and changes the rows of frames that complete a datagram: see Reassemble."""
        self.fragments = 0
        octets = pool.take(1 << 18)
        datagrams, tunnels = np.empty(256, DATAGRAM_DTYPE), np.empty(256, TUNNEL_DTYPE)
        done, start = False, True
        while True:
            done, used, datagram_count, tunnel_count = self._decode.go_on(
                self._chunk, table, self.numbers, self.packets, octets, datagrams, tunnels, start
            )
            if done:
                break
            start = False
            octets = _twice(octets, pool.take(2 * len(octets))) if used + 65535 > len(octets) else octets
            datagrams = _twice(datagrams, np.empty(2 * len(datagrams), DATAGRAM_DTYPE))
            tunnels = _twice(tunnels, np.empty(2 * len(tunnels), TUNNEL_DTYPE))
        if datagram_count:
            self.datagrams = datagrams[:datagram_count]
            self.buffers = [self.buffers[0], octets[:used]]
            self._listed.clear()
            self.__dict__.pop("inner_frames", None)
        if tunnel_count:
            both = np.concatenate([self.tunnels, tunnels[:tunnel_count]])
            self.tunnels = both[np.argsort(both["packet"], kind="stable")]

    @property
    def link_types(self) -> npt.NDArray[np.int32]:
        """LINKTYPE_ numbers of the capture's interfaces, int32[n]; a packet's `interface` is an index into them."""
        return self._chunk.interfaces.link_types

    @property
    def reassembled(self) -> Bytes:
        """The bytes that `datagrams` are in; any, where there are none."""
        return self.buffers[min(1, len(self.buffers) - 1)]

    @property
    def paths(self) -> _decode.Paths:
        return self._decode.decoder.paths

    @property
    def records(self) -> npt.NDArray[np.void]:
        """Where each frame lies in buffers[0], and what the file says of it (schema.RECORD), a row a frame."""
        return self._chunk.records

    @property
    def interfaces(self) -> Interfaces:
        """Those of the capture; a row's `interface` is an index into them."""
        return self._chunk.interfaces

    @cached_property
    def inner_frames(self) -> npt.NDArray[np.void]:
        """What the innermost tunnel of each frame carries (schema.INNER_FRAME), a row a frame.

        Without a tunnel it is the frame itself, and `protocol` is 0.
        """
        return self._decode.inner(self._chunk, self.packets, self.reassembled, self.datagrams)

    @property
    def layers(self) -> npt.NDArray[np.void]:
        """Every header of every frame (schema.LAYER), in order, also those quoted inside ICMP errors.

        Optional parts of headers (a GRE key, a TCP option) follow their header as layers of their own.
        """
        return self._headers(_ALL_PROTOCOLS)

    def layers_in(self, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.void]:
        """The `layers` of the frames of a mask, bool[n]."""
        return self._headers(_ALL_PROTOCOLS, rows)

    def headers(self, protocol: str, rows: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.void]:
        """The headers of one protocol (schema.LAYER), in order; with `rows`, a mask bool[n], only in those frames."""
        return self._headers(1 << PROTOCOLS.index(protocol), rows)

    def stream_numbers(self, protocol: str) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """All tcp.stream or udp.stream numbers, by `protocol` "tcp" or "udp", after Annotate.

        Returns (packet, number), uint32[n] each, also for outer and quoted headers, outermost first within a frame.
        """
        number = IP_PROTOCOLS[protocol]
        rows = np.flatnonzero((self.packets["ip_protocol"] == number) & (self.streams["stream"] != NO_STREAM))
        others = self.other_streams[self.other_streams["protocol"] == number]
        packet = np.concatenate([others["packet"], rows.astype(np.uint32)])
        stream = np.concatenate([others["stream"], self.streams["stream"][rows]])
        order = np.argsort(packet, kind="stable") if len(others) else slice(None)
        return packet[order], stream[order]

    def _headers(self, wanted: int, rows: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.void]:
        known = self._listed.get(wanted)
        if known is None:
            known = self._decode.layers(self._chunk, self.packets, rows, self.reassembled, self.datagrams, wanted)
            if rows is None:
                self._listed[wanted] = known
        elif rows is not None:
            known = known[rows[known["packet"]]]
        return known


def _only(table: npt.NDArray[np.void], rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.void]:
    """Some rows of a structured array: numpy would copy them field by field, fifty times as slow."""
    return table.view(f"V{table.itemsize}")[rows].view(table.dtype)


def _twice(rows: npt.NDArray[Any], larger: npt.NDArray[Any]) -> npt.NDArray[Any]:
    larger[: len(rows)] = rows
    return larger


class Decode:
    """Chunks in, batches out. One instance serves one capture: the list of protocol stacks is its own.

    Of a port in both, `geneve_port` counts. With `reassemble` rows stop at fragments that were captured whole, for
    a Reassemble to go on with. `frames` is how many there have been.
    """

    def __init__(
        self,
        *,
        vxlan_port: int | Collection[int] = 4789,
        geneve_port: int | Collection[int] = 6081,
        verify_checksums: bool = False,
        reassemble: bool = False,
    ) -> None:
        self.decoder = _decode.Decoder(
            vxlan_port=vxlan_port, geneve_port=geneve_port, verify_checksums=verify_checksums, reassemble=reassemble
        )
        self._packets = Pool()
        self._tunnels = Pool()
        self.buffers = Pool()  # of batches that borrowed theirs
        self.frames = 0
        self._begun = self._before = 0

    def __call__(self, chunk: Chunk) -> Batch:
        count, first_frame = len(chunk.records), self.frames + 1
        if count and not self.frames:
            self._begun = self._before = int(chunk.records["timestamp"][0])
        self.frames += count
        packets = self._packets.take_rows(PACKET_DTYPE, count)
        octets = packets.view(np.uint8)
        records = chunk.records.view(np.uint8)
        done, capacity, fragments = 0, 1024 + count, self.decoder.fragments
        parts: list[npt.NDArray[np.void]] = []
        while True:
            tunnels = self._tunnels.take_rows(TUNNEL_DTYPE, capacity)
            done, written = self.decoder.decode(
                chunk.buffer, records, chunk.interfaces.link_types, octets, tunnels.view(np.uint8), done
            )
            parts.append(tunnels[:written])
            if done == count:
                break
        numbers = np.arange(first_frame, first_frame + count, dtype=np.uint64)
        tunnels = parts[0] if len(parts) == 1 else np.concatenate(parts)
        before = self._before
        if count:
            self._before = int(chunk.records["timestamp"][-1])
        return Batch(chunk, packets, tunnels, self, numbers, self.decoder.fragments - fragments, begun=self._begun,
                     before=before)  # fmt: skip

    def go_on(self, chunk: Chunk, table: _decode.Reassembly, numbers: npt.NDArray[np.uint64],
              packets: npt.NDArray[np.void], octets: Bytes, datagrams: npt.NDArray[np.void],
              tunnels: npt.NDArray[np.void], start: bool) -> tuple[bool, int, int, int]:  # fmt: skip
        """One step of Batch.reassemble()."""
        return table.update(
            self.decoder, chunk.buffer, chunk.records.view(np.uint8), chunk.interfaces.link_types, numbers,
            packets.view(np.uint8), octets, datagrams.view(np.uint8), tunnels.view(np.uint8), start
        )  # fmt: skip

    def inner(self, chunk: Chunk, packets: npt.NDArray[np.void], assembled: Bytes,
              datagrams: npt.NDArray[np.void]) -> npt.NDArray[np.void]:  # fmt: skip
        inner = np.empty(len(packets), INNER_FRAME_DTYPE)
        self.decoder.inner(
            chunk.buffer, chunk.records.view(np.uint8), chunk.interfaces.link_types, packets.view(np.uint8), assembled,
            datagrams.view(np.uint8), inner.view(np.uint8)
        )  # fmt: skip
        return inner

    def layers(self, chunk: Chunk, packets: npt.NDArray[np.void], wanted_rows: npt.NDArray[np.bool_] | None,
               assembled: Bytes, datagrams: npt.NDArray[np.void], wanted: int) -> npt.NDArray[np.void]:  # fmt: skip
        """The headers of the frames of a batch: of protocols whose bit in `wanted` is set, in `wanted_rows`."""
        common = (
            chunk.buffer,
            chunk.records.view(np.uint8),
            chunk.interfaces.link_types,
            packets.view(np.uint8),
            None if wanted_rows is None else wanted_rows.view(np.uint8),
            assembled,
            datagrams.view(np.uint8),
            wanted,
        )
        frames = len(packets) if wanted_rows is None else int(np.count_nonzero(wanted_rows))
        each = 5 if wanted == _ALL_PROTOCOLS else 1
        parts: list[npt.NDArray[np.void]] = []
        done = 0
        while done < len(chunk.records):
            rows = np.empty(_decode.LAYERS_PER_FRAME + each * frames + frames // 8, LAYER_DTYPE)
            done, written = self.decoder.layers(*common, rows.view(np.uint8), done)
            parts.append(rows[:written].copy() if done < len(chunk.records) else rows[:written])
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, LAYER_DTYPE)
