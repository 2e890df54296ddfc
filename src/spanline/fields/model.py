"""What a display-filter field is, and what reading it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from spanline.batch import Batch

Rows = npt.NDArray[np.bool_]


class Kind(StrEnum):
    """What a field's values are."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"
    BOOLEAN = "boolean"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    ETHER = "ether"
    BYTES = "bytes"
    STRING = "string"
    ABSOLUTE_TIME = "absolute-time"
    RELATIVE_TIME = "relative-time"
    FLOAT = "float"
    PROTOCOL = "protocol"
    NONE = "none"
    """Present or not, without a value."""


@dataclass(frozen=True, slots=True)
class Octets:
    """Values of any length: that of occurrence n is data[offsets[n] : offsets[n + 1]]; uint8[], int64[m + 1]."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> bytes:
        return self.data[self.offsets[number] : self.offsets[number + 1]].tobytes()


@dataclass(frozen=True, slots=True)
class Occurrences:
    """All occurrences of a field in a batch, in the order of frames, and in a frame in tshark's: outermost first.

    packet  row numbers, uint32[m], ascending
    layer   which header of its protocol in the frame has it, the outermost is 1: uint8[m]
    values  by the field's kind: uint64[m] (UNSIGNED, BOOLEAN; NONE: ones), int64[m] (SIGNED; times in ns), float64[m]
            (FLOAT), uint8[m, width] (IPV4 4, IPV6 16, ETHER 6), Octets (BYTES, STRING in UTF-8, PROTOCOL)
    """

    packet: npt.NDArray[np.uint32]
    layer: npt.NDArray[np.uint8]
    values: npt.NDArray[Any] | Octets

    def __len__(self) -> int:
        return len(self.packet)


Extract = Callable[["Batch", Rows | None], Occurrences]


@dataclass(frozen=True, slots=True)
class Field:
    """A display-filter field. Name and meaning are tshark's 4.0.

    name         ip.src
    kind         of its values
    description  a few words for people: what tshark calls it
    extract      gives its occurrences in a batch, or only those in the rows of a mask
    digits       hexadecimal digits that numbers are written with; 0 for decimal
    texts        names of values: {6: "TCP"}
    whole        of a protocol: its bytes up to the end of its layer, which `contains` and `matches` search, as Octets;
                 `extract` gives those of its header, which slices and len() see
    requires     what must have been found before: "streams", "analysis", "application", "messages"
    """

    name: str
    kind: Kind = field(compare=False)
    description: str = field(compare=False)
    extract: Extract = field(compare=False, repr=False)
    digits: int = field(default=0, compare=False)
    texts: Mapping[int, str] = field(default_factory=dict, compare=False, repr=False)
    whole: Extract | None = field(default=None, compare=False, repr=False)
    requires: frozenset[str] = field(default=frozenset(), compare=False)
