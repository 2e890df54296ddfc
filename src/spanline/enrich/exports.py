"""CSV that other tools export: how it is recognised, and what its columns are in our words.

Names of columns are compared without case, blanks and punctuation. Sources: Microsoft's documentation of
Get-VMNetworkAdapter and Get-VM (Hyper-V); RVTools 4's tabs vInfo and vNetwork; VMware PowerCLI's Get-VM and
Get-NetworkAdapter; Oracle's CLI reference of `oci network vnic` and `oci compute instance list`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Export:
    """A kind of file with a row for each VM or for each of its adapters.

    tool     what it is called
    marks    columns that only it has, all of them
    columns  fields of fields.SECTIONS["vms"] by column
    units    what is meant by numbers without a unit, by column
    """

    tool: str
    marks: frozenset[str]
    columns: dict[str, str]
    units: dict[str, str]


def normal(name: str) -> str:
    """A column's name as it is compared."""
    return re.sub(r"[^a-z0-9#]", "", name.lower())


_PLACES = {"cluster": "cluster", "clustername": "cluster", "application": "application"}
_VLANS = {"vlan": "vlan", "vlanid": "vlan"}
# Of Hyper-V, whether the cmdlet tells of machines or of their adapters.
_MACHINES = {
    "computername": "host",
    "processorcount": "vcpus",
    "memorystartup": "memory",
    "memoryassigned": "memory",
}

EXPORTS = (
    Export(
        "Hyper-V",
        frozenset({"vmname", "macaddress"}),
        {
            **_PLACES,
            **_VLANS,
            "vmname": "name",
            "ipaddresses": "addresses",
            "macaddress": "macs",
            **_MACHINES,
            "switchname": "port_group",
            "accessvlanid": "vlan",
        },
        {},
    ),
    Export(
        "Hyper-V",
        frozenset({"vmname", "processorcount"}),
        {**_PLACES, **_VLANS, **_MACHINES, "vmname": "name"},
        {},
    ),
    Export(
        "Hyper-V",
        frozenset({"name", "processorcount"}),
        {**_PLACES, **_VLANS, **_MACHINES, "name": "name"},
        {},
    ),
    Export(
        "RVTools vNetwork",
        frozenset({"vm", "macaddress", "network"}),
        {
            **_PLACES,
            **_VLANS,
            "vm": "name",
            "ipv4address": "addresses",
            "ipv6address": "addresses",
            "ipaddress": "addresses",
            "macaddress": "macs",
            "network": "port_group",
            "host": "host",
        },
        {},
    ),
    Export(
        "RVTools vInfo",
        frozenset({"vm", "cpus", "memory"}),
        {
            **_PLACES,
            **_VLANS,
            "vm": "name",
            "cpus": "vcpus",
            "memory": "memory",
            "primaryipaddress": "addresses",
            "network#1": "port_group",
            "host": "host",
        },
        {"memory": "MiB"},
    ),
    Export(
        "PowerCLI",
        frozenset({"parent", "macaddress", "networkname"}),
        {
            **_PLACES,
            **_VLANS,
            "parent": "name",
            "macaddress": "macs",
            "networkname": "port_group",
            "ipaddress": "addresses",
            "ipaddresses": "addresses",
            "vmhost": "host",
        },
        {},
    ),
    Export(
        "PowerCLI",
        frozenset({"name", "numcpu", "memorygb"}),
        {
            **_PLACES,
            **_VLANS,
            "name": "name",
            "numcpu": "vcpus",
            "memorygb": "memory",
            "vmhost": "host",
            "ipaddress": "addresses",
            "ipaddresses": "addresses",
            "guestipaddress": "addresses",
            "portgroup": "port_group",
        },
        {"memorygb": "GiB"},
    ),
    Export(
        "OCI VNICs",
        frozenset({"displayname", "privateip", "macaddress"}),
        {
            **_PLACES,
            "displayname": "name",
            "privateip": "addresses",
            "ipv6addresses": "addresses",
            "macaddress": "macs",
        },
        {},
    ),
    Export(
        "OCI instances",
        frozenset({"displayname", "shape"}),
        {
            **_PLACES,
            "displayname": "name",
            "shapeconfigvcpus": "vcpus",
            "vcpus": "vcpus",
            "shapeconfigmemoryingbs": "memory",
            "memoryingbs": "memory",
            "dedicatedvmhostid": "host",
        },
        {"shapeconfigmemoryingbs": "GiB", "memoryingbs": "GiB"},
    ),
)
"""The first one whose marks a file has is it."""
