"""Filters in libpcap's language: of captured frames, and of what is inside their tunnels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from spanline.batch import PROTOCOLS, Batch, Bytes
from spanline.chunk import Interface
from spanline.filters.bpf import ETHERNET, LOOP, NULL, RAW, Programs

_FRAME, _ETHERNET = 0, PROTOCOLS.index("eth")

# IPv6 in the loopback header of Linux, and of NetBSD and OpenBSD, FreeBSD, Darwin.
_LINUX_IPV6, _OTHER_IPV6 = 10, (24, 28, 30)

_Wanted = npt.NDArray[np.bool_]


class CaptureFilter:
    """Lets the frames through that `tcpdump -r FILE FILTER` selects. A Transform: before reassembly, as libpcap sees
    frames one by one.

    Lengths are those on the wire; what was not captured makes a comparison false. Frames of a link type that libpcap
    cannot write a program for are left out, and counted in `refused`.

    filtered_out  decoded frames left out so far
    refused       by link type: how many frames, their first interface, and libpcap's reason
    """

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self.filtered_out = 0
        self.refused: dict[int, tuple[int, Interface, str]] = {}

    def feed(self, batch: Batch) -> Iterable[Batch]:
        matches = np.zeros(len(batch), np.uint8)
        self._match(batch, matches)
        rows = matches.view(np.bool_)
        if rows.all():
            return (batch,)
        decoded = (batch.packets["ip_version"] != 0) | (batch.packets["verdict"] == 0)
        self.filtered_out += int(np.count_nonzero(decoded & ~rows))
        return (batch.select(rows),)

    def flush(self) -> Iterable[Batch]:
        """Nothing: every frame was given out at once."""
        return ()

    def _match(self, batch: Batch, matches: npt.NDArray[np.uint8]) -> None:
        self._match_frames(batch, matches, np.ones(len(batch), np.bool_))

    def _match_frames(self, batch: Batch, matches: npt.NDArray[np.uint8], wanted: _Wanted) -> None:
        """Runs the program of its interface's link type on each wanted frame."""
        packets, interfaces = batch.packets, batch.interfaces
        present = np.flatnonzero(np.bincount(packets["interface"][wanted]))
        by_kind: dict[tuple[int, bool], list[int]] = {}
        for n in present[present < len(interfaces)].tolist():
            by_kind.setdefault((interfaces[n].link_type, interfaces[n].swapped), []).append(n)
        columns = packets["frame_offset"], packets["captured_length"], packets["wire_length"]
        for (link_type, swapped), numbers in by_kind.items():
            here = wanted if len(present) == 1 else wanted & np.isin(packets["interface"], numbers)
            program = self._programs.of(link_type, swapped)
            if program is None:
                self._refuse(link_type, interfaces[numbers[0]], int(np.count_nonzero(here)))
            else:
                octets = batch.buffers[0]
                if link_type in (NULL, LOOP):
                    octets = _with_linux_families(octets, packets[here])
                program.run(octets, *columns, here.view(np.uint8), matches)

    def _refuse(self, link_type: int, interface: Interface, count: int) -> None:
        reason = self._programs.refusal(link_type)
        if reason:
            before, first, _ = self.refused.get(link_type, (0, interface, reason))
            self.refused[link_type] = before + count, first, reason


def _with_linux_families(octets: Bytes, packets: npt.NDArray[np.void]) -> Bytes:
    """A copy of `octets` with the IPv6 of loopback headers as Linux writes it.

    Before 1.10, libpcap's compiler knows only the number of the machine that it runs on.
    """
    octets = octets.copy()
    at = packets["frame_offset"][packets["captured_length"] >= 4].astype(np.int64)
    family = octets[at[:, None] + np.arange(4)]
    for byte in (0, 3):  # of a number below 256: the first, or the last in network order
        alone = family.sum(axis=1) == family[:, byte]
        octets[at[alone & np.isin(family[:, byte], _OTHER_IPV6)] + byte] = _LINUX_IPV6
    return octets


class InnerFilter(CaptureFilter):
    """The same after decapsulation: the program sees the innermost frame of each packet. A Transform: after reassembly.

    Where the innermost tunnel carries Ethernet (VXLAN, ERSPAN, bridging in GRE and GENEVE), that is the Ethernet frame;
    where it carries IP, the IP packet, as of link type RAW; without a tunnel, the captured frame. A filter on link
    headers does not match packets that have none.
    """

    def _match(self, batch: Batch, matches: npt.NDArray[np.uint8]) -> None:
        tunnelled = batch.packets["tunnel_count"] > 0
        if not tunnelled.any():
            self._match_frames(batch, matches, ~tunnelled)
            return
        inner = batch.inner_frames
        whole = inner["protocol"] == _FRAME
        self._match_frames(batch, matches, whole)
        on_ethernet = inner["protocol"] == _ETHERNET
        columns = inner["offset"], inner["captured_length"], inner["wire_length"]
        for link_type, wanted in (ETHERNET, on_ethernet), (RAW, ~whole & ~on_ethernet):
            program = self._programs.of(link_type)
            if program is not None:
                for number, buffer in enumerate(batch.buffers):
                    here = wanted & (inner["buffer"] == number)
                    program.run(buffer, *columns, here.view(np.uint8), matches)
