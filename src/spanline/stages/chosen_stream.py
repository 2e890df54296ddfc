"""One stream of a capture: the one that has a number, or two ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import numpy.typing as npt

from spanline.batch import IP_PROTOCOLS, Batch
from spanline.errors import UsageError
from spanline.schema import NO_STREAM
from spanline.stages.ends import Ends, Nearest, Numbered, likeness
from spanline.stages.packet_list import HAS_TRANSPORT

MOST_OTHERS = 8


class ChosenStream:
    """Finds the frames of the stream that `wanted` says. Of several streams between the same ends it is the first.

    `transports` are those that count: "tcp", "udp". Batches have passed transforms.annotate.Annotate.

    number     of the stream, None as long as it was not met
    transport  its own; before it was met, the first of those that count
    others     numbers of further streams between the same ends, MOST_OTHERS at most
    """

    def __init__(self, wanted: Numbered | Ends, transports: Sequence[str] = ("tcp",)) -> None:
        self._wanted = wanted
        self._transports = (wanted.transport,) if isinstance(wanted, Numbered) else tuple(transports)
        self.number: int | None = None
        self.transport = self._transports[0]
        self.others: list[int] = []
        self._highest = -1
        self._unlike = False
        self._nearest = Nearest()

    def rows(self, batch: Batch) -> npt.NDArray[np.bool_]:
        """Which frames of the next batch are of the stream, bool[n]."""
        packets = batch.packets
        there = (packets["flags"] & HAS_TRANSPORT != 0) & (batch.streams["stream"] != NO_STREAM)
        counts = there & _is_any(packets, self._transports)
        if isinstance(self._wanted, Ends):
            self._look_for(self._wanted, packets, np.where(counts, batch.streams["stream"], NO_STREAM))
        else:
            known = batch.streams["stream"][counts]
            self._highest = max(self._highest, int(known.max(initial=0))) if len(known) else self._highest
            self.number = self._wanted.number if self._wanted.number in known else self.number
        if self.number is None:
            return np.zeros(len(packets), np.bool_)
        own: npt.NDArray[np.bool_] = (batch.streams["stream"] == self.number) & there
        return own & _is_any(packets, (self.transport,))

    def _look_for(self, ends: Ends, packets: npt.NDArray[np.void], numbers: npt.NDArray[np.uint32]) -> None:
        """Notes the streams of these ends, and as long as there is none those that are like them."""
        ports = {ends.first[1], ends.second[1]}
        if self.number is not None:
            some = np.isin(packets["source_port"], list(ports)) & (numbers != NO_STREAM)
            packets, numbers = packets[some], numbers[some]
        points = likeness(packets, ends)
        is_found = points == 4
        self._unlike |= bool((numbers[is_found] == NO_STREAM).any())
        found = np.flatnonzero(is_found & (numbers != NO_STREAM))
        if self.number is None:
            if not len(found):
                self._nearest.update(packets, np.where(numbers == NO_STREAM, 0, points))
                return
            self.number = int(numbers[found[0]])
            protocol = packets["ip_protocol"][found[0]]
            self.transport = next(name for name in self._transports if IP_PROTOCOLS[name] == protocol)
        same = packets["ip_protocol"][found] == IP_PROTOCOLS[self.transport]
        self._add_others(np.unique(numbers[found[same]]).tolist())

    def _add_others(self, numbers: Iterable[int]) -> None:
        self.others = sorted({*self.others, *numbers} - {self.number})[:MOST_OTHERS]

    def missing(self) -> UsageError:
        """What to say when the stream was not met: there is none, and what there is."""
        if isinstance(self._wanted, Numbered):
            if self._wanted.number < self._highest:
                hint = "only headers of tunnels or quoted in ICMP messages do, or frames that a filter leaves out"
            elif self._highest >= 0:
                hint = f"the last one is {self._highest}"
            else:
                hint = f"there is no {_names(self._transports)}"
            return UsageError(f"no conversation has {self._wanted}", hint=hint)
        if self._unlike and self._transports == ("tcp",):
            hint = "they exchange datagrams, which have no handshake"
        elif self._nearest.found:
            hint = f"the nearest: {' or '.join(str(ends) for _, ends in self._nearest.found)}"
        else:
            hint = "there is none with one of these addresses or ports"
        return UsageError(f"no {_names(self._transports)} conversation between {self._wanted}", hint=hint)

    def state(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "transport": self.transport,
            "others": self.others,
            "highest": self._highest,
            "unlike": self._unlike,
            "nearest": [(points, astuple(ends)) for points, ends in self._nearest.found],
        }

    def take_over(self, known: Mapping[str, Any]) -> None:
        """Knows from now on what another one's state() says, too."""
        if self.number is None and known["number"] is not None:
            self.number, self.transport = known["number"], known["transport"]
        self._add_others(known["others"])
        self._highest = max(self._highest, known["highest"])
        self._unlike |= known["unlike"]
        self._nearest.add((points, Ends(*ends)) for points, ends in known["nearest"])


def _is_any(packets: npt.NDArray[np.void], transports: Sequence[str]) -> npt.NDArray[np.bool_]:
    is_any = np.zeros(len(packets), np.bool_)
    for name in transports:
        is_any |= packets["ip_protocol"] == IP_PROTOCOLS[name]
    return is_any


def _names(transports: Sequence[str]) -> str:
    return " or ".join(name.upper() for name in transports)
