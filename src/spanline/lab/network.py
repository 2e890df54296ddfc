"""How the machines of a lab are connected, and what its switch mirrors: as a SPAN port does, or an OCI VTAP.

client 10.0.0.5 ── switch ── 10.0.1.2 server
                      │
                      └── target   plain copies, as from a SPAN port; or copies in VXLAN, sent to 10.0.1.3
"""

from __future__ import annotations

import shutil
from typing import Literal, Protocol

CLIENT = "10.0.0.5"
SERVER = "10.0.1.2"
TARGET = "10.0.1.3"
MIRROR_SOURCE = "10.0.1.254"
VXLAN_PORT = 4789

Direction = Literal["both", "client", "doubled"]
"""Both ways; only what the client sends, as an ingress-only VTAP; or both ways, each frame twice, as when ports of both
sides are mirrored."""

# Where the switch copies frames: egress of the server's port is what goes to the server.
_HOOKS: dict[Direction, list[tuple[str, str]]] = {
    "both": [("to-server", "egress"), ("to-server", "ingress")],
    "client": [("to-server", "egress")],
    "doubled": [(port, way) for port in ("to-client", "to-server") for way in ("egress", "ingress")],
}


class Machine(Protocol):
    """A network namespace.

    process  number of a process in it
    """

    @property
    def process(self) -> int: ...

    def ip(self, *arguments: str) -> None:
        """Configures its interfaces."""

    def tc(self, *arguments: str) -> None:
        """Configures what becomes of frames at its interfaces."""


def missing(*programs: str) -> list[str]:
    """Which of the programs this machine has not."""
    return [one for one in programs if not shutil.which(one)]


def connect(switch: Machine, client: Machine, server: Machine) -> None:
    """Puts client and server on the switch; their ports are to-client and to-server."""
    switch.ip("link", "add", "bridge", "type", "bridge")
    switch.ip("link", "set", "bridge", "up")
    for port, machine, address in (("to-client", client, CLIENT), ("to-server", server, SERVER)):
        cable(switch, port, machine, "eth0")
        # Frames as a wire has them: segments are cut before the switch, not by a network card behind it.
        machine.ip("link", "set", "eth0", "mtu", "1500", "gso_max_segs", "1")
        machine.ip("address", "add", f"{address}/16", "dev", "eth0")
        switch.ip("link", "set", port, "master", "bridge")
        switch.tc("qdisc", "add", "dev", port, "clsact")


def cable(switch: Machine, port: str, machine: Machine, interface: str) -> None:
    """Connects a port of the switch with an interface, with room for the outer headers, as in a cloud's network."""
    switch.ip(
        *("link", "add", port, "mtu", "9000", "type", "veth"),
        *("peer", "name", interface, "netns", str(machine.process), "mtu", "9000"),
    )
    switch.ip("link", "set", port, "up")
    machine.ip("link", "set", interface, "up")


def reach(switch: Machine, port: str, target: str) -> None:
    """Lets the switch send to a target on a cable of its own, so that the bridge sees no copy, and copies none."""
    switch.ip("address", "add", MIRROR_SOURCE, "peer", target, "dev", port)


def wrap(switch: Machine, device: str, vni: int, target: str) -> None:
    """Makes a device of the switch that sends what goes into it to a target, in VXLAN."""
    switch.ip(
        *("link", "add", device, "type", "vxlan", "id", str(vni), "dstport", str(VXLAN_PORT)),
        *("local", MIRROR_SOURCE, "remote", target, "nolearning"),
    )
    switch.ip("link", "set", device, "up")


def copy(switch: Machine, direction: Direction, device: str, priority: int) -> None:
    """Copies the server's frames into a device of the switch; of several such mirrors each has its own priority."""
    for port, way in _HOOKS[direction]:
        switch.tc(
            *("filter", "add", "dev", port, way, "prio", str(priority), "protocol", "all"),
            *("u32", "match", "u32", "0", "0", "action", "mirred", "egress", "mirror", "dev", device, "continue"),
        )


def stop_copying(switch: Machine, direction: Direction, priority: int) -> None:
    for port, way in _HOOKS[direction]:
        switch.tc("filter", "del", "dev", port, way, "prio", str(priority))
