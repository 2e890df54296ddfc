"""Making the lab, and taking it away again."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, closing
from typing import Literal, get_args

from spanline.errors import UsageError
from spanline.lab.namespaces import Namespace, end_processes, exists, is_ours, remove
from spanline.lab.network import (
    CLIENT,
    SERVER,
    TARGET,
    Direction,
    cable,
    connect,
    copy,
    missing,
    reach,
    wrap,
)

CLIENT_NAME, SERVER_NAME, SWITCH_NAME, TARGET_NAME = NAMES = (
    "spanline-client",
    "spanline-server",
    "spanline-switch",
    "spanline-target",
)
INTERFACE = "span0"
"""The target's network card, where the mirror's frames arrive."""

VNI = 100

Mirror = Literal["span", "vxlan", "client-only", "doubled"]
"""Plain copies of both ways; copies in VXLAN; of what the client sends alone; each frame twice."""

MIRRORS: tuple[Mirror, ...] = get_args(Mirror)

_DIRECTIONS: dict[Mirror, Direction] = {"span": "both", "vxlan": "both", "client-only": "client", "doubled": "doubled"}


def require() -> None:
    """Raises UsageError where there can be no lab."""
    if sys.platform != "linux":
        raise UsageError("the lab is made of network namespaces", hint="it needs Linux")
    if os.geteuid() != 0:
        raise UsageError("the lab needs root, for network namespaces", hint="use sudo")
    if programs := missing("ip", "tc", "unshare", "nsenter", "setpriv"):
        raise UsageError(
            f"the lab needs {' and '.join(programs)}", hint="install iproute2 and util-linux, as Debian calls them"
        )


def make(mirror: Mirror) -> dict[str, str]:
    """Makes the lab: all of it or nothing. Gives what is in each namespace, by its name.

    Raises UsageError when there is something of its names, SpanlineError."""
    require()
    found = [name for name in NAMES if exists(name)]
    _require_ours(found)
    if found:
        raise UsageError("the lab is there already", hint="take it away first: spanline lab down")
    with ExitStack() as stack:
        client, server, switch, target = (stack.enter_context(closing(Namespace())) for _ in NAMES)
        connect(switch, client, server)
        cable(switch, "to-target", target, INTERFACE)
        device = "to-target"
        if mirror == "vxlan":
            device = f"vxlan{VNI}"
            reach(switch, "to-target", TARGET)
            # It has no way back: what nobody listens to would be answered by ICMP, which would stand among the frames.
            target.ip("address", "add", f"{TARGET}/32", "dev", INTERFACE)
            wrap(switch, device, VNI, TARGET)
        copy(switch, _DIRECTIONS[mirror], device, 1)
        named: list[str] = []
        try:
            for name, namespace in zip(NAMES, (client, server, switch, target), strict=True):
                namespace.attach(name)
                named.append(name)
        except BaseException:
            for name in named:
                remove(name)
            raise
    copies = {
        "span": "copies of the server's frames",
        "vxlan": f"copies of the server's frames, in VXLAN with VNI {VNI}",
        "client-only": "copies of what the client sends",
        "doubled": "copies of the server's frames, each twice",
    }
    return {
        CLIENT_NAME: f"eth0 {CLIENT}",
        SERVER_NAME: f"eth0 {SERVER}",
        SWITCH_NAME: "bridge of to-client and to-server; to-target for copies",
        TARGET_NAME: f"{INTERFACE}{f' {TARGET}' if mirror == 'vxlan' else ''}: {copies[mirror]}",
    }


def unmake() -> tuple[list[str], list[str]]:
    """Takes the lab away. Gives the names of what was there, and the processes that were ended.

    Raises UsageError, before anything is done, when something of its names was not made by it.
    """
    require()
    found = [name for name in NAMES if exists(name)]
    _require_ours(found)
    ended = [process for name in found for process in end_processes(name)]
    for name in found:
        remove(name)
    return found, ended


def require_made() -> None:
    """Raises UsageError when the lab is not there."""
    require()
    _require_ours([name for name in NAMES if exists(name)])
    if not all(exists(name) for name in NAMES):
        raise UsageError("there is no lab", hint="make it first: spanline lab up")


def _require_ours(names: list[str]) -> None:
    for name in names:
        if not is_ours(name):
            raise UsageError(
                f"there is a network namespace {name} that spanline did not make",
                hint=f"it stays as it is; the lab needs its name: see ip netns list and ip netns delete {name}",
            )
