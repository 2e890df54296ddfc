"""From the name of a live source to the source."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from spanline.chunk import Interfaces
from spanline.errors import UsageError
from spanline.sources.live import PREFIXES, LiveOptions, LiveSource

_ALL = "any"
"""libpcap's name for all interfaces of Linux together. There is no ring of them."""


def require_live(names: Sequence[str]) -> None:
    """Raises UsageError when only some of `names` mean live sources."""
    live = [name for name in names if name.startswith(PREFIXES)]
    if len(live) < len(names):
        other = next(name for name in names if name not in live)
        raise UsageError(
            f"{live[0]} and {other}: what is captured now and what was captured do not go together",
            hint="name one kind; a file of such a name is read as ./live:eth0",
        )


def open_source(name: str, interfaces: Interfaces, options: LiveOptions) -> LiveSource:
    """The source of that name, opened. Raises CaptureError or UsageError."""
    kind, _, rest = name.partition(":")
    if not rest:
        raise UsageError(f"{name}: nothing is named behind the colon", hint="live:eth0, udp:4789")
    if kind == "udp":
        from spanline.sources.datagrams import UdpSource

        return UdpSource(name, interfaces, options)
    if _has_ring(options) and (rest != _ALL or options.engine == "ring"):
        from spanline.sources.ring import RingSource

        return RingSource(rest, interfaces, options)
    from spanline.sources.libpcap import PcapSource

    return PcapSource(rest, interfaces, options)


def _has_ring(options: LiveOptions) -> bool:
    """Raises UsageError where the ring is asked for and is not there."""
    there = sys.platform == "linux" and find_spec("spanline._ring") is not None
    if options.engine == "ring" and not there:
        raise UsageError("there is no ring here: only Linux has it", hint="leave --source out, or say libpcap")
    return there and options.engine != "libpcap"
