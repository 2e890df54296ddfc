"""Who conversations are between, as parsers and findings have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from spanline.arrow import address_texts
from spanline.plaintext.claims import TCP, UDP
from spanline.plaintext.model import Conversation
from spanline.schema import NO_TUNNEL_ID, NO_VLAN

_TRANSPORTS: dict[int, Literal["tcp", "udp"]] = {TCP: "tcp", UDP: "udp"}
_SIDES = ("source", "destination")


class Ends(NamedTuple):
    """client, server  addresses, 16 bytes, IPv4 mapped"""

    conversation: Conversation
    client: bytes
    server: bytes


def ends_of(rows: npt.NDArray[np.void], clients: Sequence[int]) -> list[Ends]:
    """Those of schema.PAYLOAD_CONVERSATION `rows`, of which the ends `clients`, 0 or 1, are the clients."""
    octets = [np.ascontiguousarray(rows[side]) for side in _SIDES]
    addresses = zip(*([row.tobytes() for row in side] for side in octets), strict=True)
    texts = zip(*map(address_texts, octets), strict=True)
    ports = zip(*(rows[f"{side}_port"].tolist() for side in _SIDES), strict=True)
    others = (rows[name].tolist() for name in ("protocol", "first_seen", "vlan", "vni"))
    return [
        Ends(
            Conversation(
                _TRANSPORTS[transport],
                names[client],
                numbers[client],
                names[1 - client],
                numbers[1 - client],
                first_seen,
                None if vlan == NO_VLAN else vlan,
                None if vni == NO_TUNNEL_ID else vni,
            ),
            octets[client],
            octets[1 - client],
        )
        for client, octets, names, numbers, transport, first_seen, vlan, vni in zip(
            clients, addresses, texts, ports, *others, strict=True
        )
    ]
