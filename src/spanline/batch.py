"""Batch: a chunk decoded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spanline import _decode
from spanline.chunk import Chunk, Interfaces
from spanline.errors import UsageError
from spanline.pool import Pool
from spanline.schema import (
    DATAGRAM_DTYPE,
    INNER_FRAME_DTYPE,
    LAYER_DTYPE,
    PACKET_DTYPE,
    PACKET_FLAGS,
    TUNNEL_DTYPE,
    fields_by_name,
)

Bytes = npt.NDArray[np.uint8]

PROTOCOLS: tuple[str, ...] = _decode.PROTOCOLS
"""Names of the protocols by their number in `layers` and `verdict_layer`; as tshark's."""

IS_FRAGMENT = 1 << PACKET_FLAGS.index("is-fragment")


class Batch:
    """The frames of a chunk as rows.

    packets       structured array (schema.PACKET), one row a frame, describing its innermost decoded IP layer
    tunnels       structured array (schema.TUNNEL), one row for each encapsulation crossed, by packet and level
    paths         the distinct protocol stacks of the capture; a packet's `path` is an index into it
    buffers       the bytes, uint8: 0 is the chunk's, 1 what was put together from fragments, where there is any
    datagrams     structured array (schema.DATAGRAM), what in buffers[1] is whose
    fragments     how many rows stopped at a fragment that no Reassemble has seen yet
    applications  what may stand behind a transport header, as names in order; `application` is an index into it
    numbers       the frames' numbers in the capture, from 1, uint64
    first_frame   the first of them; 0 when there are no rows

    Arrays are valid as long as they are held; their memory is used again when nothing refers to it any more.
    """

    def __init__(self, chunk: Chunk, packets: npt.NDArray[np.void], tunnels: npt.NDArray[np.void], decode: Decode,
                 numbers: npt.NDArray[np.uint64], fragments: int = 0) -> None:  # fmt: skip
        self.packets = packets
        self.tunnels = tunnels
        self.numbers = numbers
        self.buffers: list[Bytes] = [chunk.buffer]
        self.datagrams = np.empty(0, DATAGRAM_DTYPE)
        self.fragments = fragments
        self.applications: Sequence[tuple[str, ...]] = ((),)
        self._chunk = chunk
        self._decode = decode

    def __len__(self) -> int:
        return len(self.packets)

    @property
    def first_frame(self) -> int:
        return int(self.numbers[0]) if len(self.numbers) else 0

    def select(self, rows: npt.NDArray[np.bool_]) -> Batch:
        """The batch of only some of its frames, in the same order: `rows` is a mask, bool[n]. The bytes are shared."""
        place = np.cumsum(rows) - 1
        tunnels, datagrams = (_only(part, rows[part["packet"]]) for part in (self.tunnels, self.datagrams))
        for part in tunnels, datagrams:
            part["packet"] = place[part["packet"]]
        chunk = Chunk(self._chunk.buffer, _only(self._chunk.records, rows), self._chunk.interfaces)
        some = Batch(chunk, _only(self.packets, rows), tunnels, self._decode, self.numbers[rows])
        some.buffers, some.datagrams, some.applications = self.buffers, datagrams, self.applications
        if self.fragments:
            some.fragments = int(np.count_nonzero(some.packets["flags"] & IS_FRAGMENT))
        return some

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
            for name in "layers", "inner_frames":
                self.__dict__.pop(name, None)
        if tunnel_count:
            both = np.concatenate([self.tunnels, tunnels[:tunnel_count]])
            self.tunnels = both[np.argsort(both["packet"], kind="stable")]

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
        return self._decode.inner(self._chunk, self.packets, self.buffers[-1], self.datagrams)

    @cached_property
    def layers(self) -> npt.NDArray[np.void]:
        """Every header of every frame (schema.LAYER), in order, also those quoted inside ICMP errors.

        Optional parts of headers (a GRE key, a TCP option) follow their header as layers of their own.
        """
        return self._decode.layers(self._chunk, self.buffers[-1], self.datagrams)

    def field(self, name: str) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.generic]]:
        """All occurrences of a display-filter field (schema.FIELDS), outermost first within a frame.

        Returns (packet, value): row numbers, uint32[n], and values, uint8/16/32[n] or uint8[n, width] for addresses. A
        header that was cut off before the field has no occurrence of it. Raises UsageError for an unknown name.
        """
        field = fields_by_name().get(name)
        if field is None:
            raise UsageError(f"no field {name!r}", hint="spanline.schema.FIELDS lists them")
        layers = self.layers
        of_field = (layers["protocol"] == PROTOCOLS.index(field.protocol)) & (
            layers["length"] >= field.offset + field.width
        )
        packet = layers["packet"][of_field]
        at = layers["offset"][of_field].astype(np.int64) + field.offset
        octets = np.empty((len(at), field.width), np.uint8)
        for number, buffer in enumerate(self.buffers):
            inside = layers["buffer"][of_field] == number
            octets[inside] = buffer[at[inside, None] + np.arange(field.width)]
        if field.kind != "number":
            return packet, octets
        value = octets.view(f">u{field.width}").ravel().astype(f"u{field.width}")
        if field.mask:
            value = (value & field.mask) >> field.shift
        return packet, value


def _only(table: npt.NDArray[np.void], rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.void]:
    """Some rows of a structured array: numpy would copy them field by field, fifty times as slow."""
    return table.view(f"V{table.itemsize}")[rows].view(table.dtype)


def _twice(rows: npt.NDArray[Any], larger: npt.NDArray[Any]) -> npt.NDArray[Any]:
    larger[: len(rows)] = rows
    return larger


class Decode:
    """Chunks in, batches out. One instance serves one capture: the list of protocol stacks is its own.

    With `reassemble` rows stop at fragments that were captured whole, for a Reassemble to go on with. `frames` is how
    many there have been.
    """

    def __init__(self, *, vxlan_port: int = 4789, verify_checksums: bool = False, reassemble: bool = False) -> None:
        self.decoder = _decode.Decoder(vxlan_port=vxlan_port, verify_checksums=verify_checksums, reassemble=reassemble)
        self._packets = Pool()
        self._tunnels = Pool()
        self.frames = 0

    def __call__(self, chunk: Chunk) -> Batch:
        count, first_frame = len(chunk.records), self.frames + 1
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
        return Batch(chunk, packets, tunnels, self, numbers, self.decoder.fragments - fragments)

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

    def layers(self, chunk: Chunk, assembled: Bytes, datagrams: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        records = chunk.records.view(np.uint8)
        parts: list[npt.NDArray[np.void]] = []
        done = 0
        while done < len(chunk.records):
            rows = np.empty(_decode.LAYERS_PER_FRAME + 8 * (len(chunk.records) - done), LAYER_DTYPE)
            done, written = self.decoder.layers(
                chunk.buffer,
                records,
                chunk.interfaces.link_types,
                assembled,
                datagrams.view(np.uint8),
                rows.view(np.uint8),
                done,
            )
            parts.append(rows[:written].copy() if done < len(chunk.records) else rows[:written])
        return np.concatenate(parts) if parts else np.empty(0, LAYER_DTYPE)
