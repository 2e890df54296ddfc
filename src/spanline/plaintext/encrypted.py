"""Beginnings of what is encrypted: most of what is captured, and nothing of it is looked at any further."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_NEEDED = 6


def encrypted(
    octets: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]
) -> npt.NDArray[np.bool_]:
    """Which of the heads at `starts` in `octets` begin as TLS does, in its middle, too (RFC 8446 sections 4 and 5.1),
    as SSH (RFC 4253 section 4.2), or as QUIC (RFC 9000 section 17.2, RFC 9369); bool[n]."""
    if len(octets) < _NEEDED:
        return np.zeros(len(starts), np.bool_)
    at = np.minimum(starts, len(octets) - _NEEDED)
    first = octets[at[:, np.newaxis] + np.arange(_NEEDED)]
    kind, message = first[:, 0], first[:, 5]
    hello = (kind == 22) & ((message == 1) | (message == 2))
    tls = (hello | (kind == 20) | (kind == 23)) & (first[:, 1] == 3) & (first[:, 2] <= 4)
    words = first[:, 1:5].copy().view(">u4")[:, 0]
    quic = (kind >= 0xC0) & ((words == 1) | (words == 0x6B3343CF))
    ssh = (kind == ord("S")) & (words == int.from_bytes(b"SH-2"))
    found: npt.NDArray[np.bool_] = (tls | quic | ssh) & (lengths >= _NEEDED) & (at == starts)
    return found
