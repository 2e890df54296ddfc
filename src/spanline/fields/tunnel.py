"""Fields of encapsulations: VXLAN and GRE."""

from __future__ import annotations

from spanline.fields.headers import flag, number
from spanline.fields.value_names import GRE_PROTOCOLS, YES

FIELDS = (
    number("vxlan.flags", "vxlan", 0, 2, "Flags", digits=4),
    number("vxlan.gbp", "vxlan", 2, 2, "Group Policy ID"),
    number("vxlan.vni", "vxlan", 4, 4, "VXLAN Network Identifier (VNI)", mask=0xFFFFFF00),
    number("gre.flags_and_version", "gre", 0, 2, "Flags and Version", digits=4),
    flag("gre.flags.checksum", "gre", 0, 2, 0x8000, "Checksum Bit", texts=YES),
    flag("gre.flags.routing", "gre", 0, 2, 0x4000, "Routing Bit", texts=YES),
    flag("gre.flags.key", "gre", 0, 2, 0x2000, "Key Bit", texts=YES),
    flag("gre.flags.sequence_number", "gre", 0, 2, 0x1000, "Sequence Number Bit", texts=YES),
    number("gre.flags.version", "gre", 0, 2, "Version", mask=0x0007),
    number("gre.proto", "gre", 2, 2, "Protocol Type", digits=4, texts=GRE_PROTOCOLS),
    number("gre.key", "gre.key", 0, 4, "Key", digits=8),
    number("gre.sequence_number", "gre.sequence_number", 0, 4, "Sequence Number"),
)
