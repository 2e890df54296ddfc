"""Fields of encapsulations: VXLAN, GENEVE, GRE and ERSPAN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spanline.batch import Batch
from spanline.fields.headers import At, Variants, When, flag, number
from spanline.fields.model import Field, Kind, Occurrences, Rows
from spanline.fields.value_names import (
    DIRECTIONS,
    ERSPAN_ENCAPSULATIONS,
    ERSPAN_FRAME_TYPES,
    ERSPAN_GRANULARITIES,
    ERSPAN_INTEGRITIES,
    ERSPAN_TRUNCATED,
    ERSPAN_VERSIONS,
    ETHER_TYPES,
    GRE_PROTOCOLS,
    YES,
)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long each header of `protocol` is."""

    protocol: str

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        headers = batch.headers(self.protocol, rows)
        packet, ordinal = np.ascontiguousarray(headers["packet"]), np.ascontiguousarray(headers["ordinal"])
        return Occurrences(packet, ordinal, headers["length"].astype(np.uint64))


# Types II and III of ERSPAN differ behind their first bytes; type I has no header.
_ANY_TYPE = When(0, 1, range(0x10, 0x30))
_TYPE_II, _TYPE_III = When(0, 1, range(0x10, 0x20)), When(0, 1, range(0x20, 0x30))


def _platform(*ids: int) -> When:
    """Only in the subheader of platforms with these numbers, which are six bits."""
    return When(12, 1, frozenset(4 * one + rest for one in ids for rest in range(4)))


def _gcp(kind: int) -> When:
    """Only in options of that type of Google's class, 0x0132."""
    return When(0, 3, range(0x013200 + kind, 0x013200 + kind + 1))


FIELDS = (
    number("vxlan.flags", "vxlan", 0, 2, "Flags", digits=4),
    number("vxlan.gbp", "vxlan", 2, 2, "Group Policy ID"),
    number("vxlan.vni", "vxlan", 4, 4, "VXLAN Network Identifier (VNI)", mask=0xFFFFFF00),
    number("geneve.version", "geneve", 0, 1, "Version", mask=0xC0),
    Field(
        "geneve.option.length",
        Kind.UNSIGNED,
        "Length",
        Variants((At("geneve", 0, 1, mask=0x3F, factor=4), Lengths("geneve.option"))),
    ),
    number("geneve.flags", "geneve", 1, 1, "Flags", digits=2),
    flag("geneve.flags.oam", "geneve", 1, 1, 0x80, "Operations, Administration and Management Frame"),
    flag("geneve.flags.critical", "geneve", 1, 1, 0x40, "Critical Options Present"),
    number("geneve.proto_type", "geneve", 2, 2, "Protocol Type", digits=4, texts=ETHER_TYPES),
    number("geneve.vni", "geneve", 4, 4, "Virtual Network Identifier (VNI)", mask=0xFFFFFF00, digits=6),
    number("geneve.reserved", "geneve", 7, 1, "Reserved", digits=2),
    number("geneve.option.class", "geneve.option", 0, 2, "Class", digits=4),
    number("geneve.option.type", "geneve.option", 2, 1, "Type", digits=2),
    flag("geneve.option.type.critical", "geneve.option", 2, 1, 0x80, "Critical Option"),
    number("geneve.option.gcp.vnid", "geneve.option", 4, 4, "GCP Virtual Network ID", mask=0xFFFFFFF0, when=_gcp(1)),
    flag("geneve.option.gcp.direction", "geneve.option", 4, 4, 0x01, "GCP Traffic Direction", texts=DIRECTIONS,
         when=_gcp(1)),
    number("geneve.option.gcp.profile", "geneve.option", 4, 8, "GCP Profile ID", when=_gcp(3)),
    number("gre.flags_and_version", "gre", 0, 2, "Flags and Version", digits=4),
    flag("gre.flags.checksum", "gre", 0, 2, 0x8000, "Checksum Bit", texts=YES),
    flag("gre.flags.routing", "gre", 0, 2, 0x4000, "Routing Bit", texts=YES),
    flag("gre.flags.key", "gre", 0, 2, 0x2000, "Key Bit", texts=YES),
    flag("gre.flags.sequence_number", "gre", 0, 2, 0x1000, "Sequence Number Bit", texts=YES),
    number("gre.flags.version", "gre", 0, 2, "Version", mask=0x0007),
    number("gre.proto", "gre", 2, 2, "Protocol Type", digits=4, texts=GRE_PROTOCOLS),
    number("gre.key", "gre.key", 0, 4, "Key", digits=8),
    number("gre.sequence_number", "gre.sequence_number", 0, 4, "Sequence Number"),
    number("erspan.version", "erspan", 0, 2, "Version", mask=0xF000, texts=ERSPAN_VERSIONS),
    number("erspan.vlan", "erspan", 0, 2, "Vlan", mask=0x0FFF, when=_ANY_TYPE),
    number("erspan.cos", "erspan", 2, 2, "COS", mask=0xE000),
    number("erspan.encap", "erspan", 2, 2, "Encap", mask=0x1800, texts=ERSPAN_ENCAPSULATIONS, when=_TYPE_II),
    number("erspan.bso", "erspan", 2, 2, "Bad/Short/Oversized", mask=0x1800, texts=ERSPAN_INTEGRITIES, when=_TYPE_III),
    number("erspan.truncated", "erspan", 2, 2, "Truncated", mask=0x0400, texts=ERSPAN_TRUNCATED),
    number("erspan.spanid", "erspan", 2, 2, "SpanID", mask=0x03FF),
    number("erspan.reserved", "erspan", 4, 4, "Reserved", mask=0xFFF00000, when=_TYPE_II),
    number("erspan.index", "erspan", 4, 4, "Index", mask=0x000FFFFF, when=_TYPE_II),
    number("erspan.timestamp", "erspan", 4, 4, "Timestamp", when=_TYPE_III),
    number("erspan.sgt", "erspan", 8, 2, "Security Group Tag"),
    number("erspan.p", "erspan", 10, 2, "Has Ethernet PDU", mask=0x8000),
    number("erspan.ft", "erspan", 10, 2, "Frame Type", mask=0x7C00, texts=ERSPAN_FRAME_TYPES),
    number("erspan.hw", "erspan", 10, 2, "Hardware ID", mask=0x03F0),
    flag("erspan.direction", "erspan", 10, 2, 0x0008, "Direction", texts=DIRECTIONS),
    number("erspan.gra", "erspan", 10, 2, "Timestamp granularity", mask=0x0006, texts=ERSPAN_GRANULARITIES),
    number("erspan.o", "erspan", 10, 2, "Optional Sub headers", mask=0x0001),
    number("erspan.platid", "erspan", 12, 4, "Platform ID", mask=0xFC000000),
    number("erspan.pid1.vsmid", "erspan", 12, 4, "VSM Domain ID", mask=0x00000FFF, when=_platform(1)),
    number("erspan.pid1.port_index", "erspan", 16, 4, "Port ID/Index", when=_platform(1)),
    number("erspan.pid3.port_index", "erspan", 12, 4, "Port ID/Index", mask=0x00003FFF, when=_platform(3)),
    number("erspan.pid3.timestamp", "erspan", 16, 4, "Upper 32-bit Timestamp", when=_platform(3)),
    number("erspan.pid5.switchid", "erspan", 12, 4, "Switch ID", mask=0x03FF0000, when=_platform(5, 6)),
    number("erspan.pid5.port_index", "erspan", 12, 4, "Port ID/Index", mask=0x0000FFFF, when=_platform(5, 6)),
    number("erspan.pid5.timestamp", "erspan", 16, 4, "Timestamp (seconds)", when=_platform(5, 6)),
    number("erspan.pid7.source_index", "erspan", 12, 4, "Source Index", mask=0x000FFFFF, when=_platform(0, 7)),
    number("erspan.pid7.timestamp", "erspan", 16, 4, "Upper 32-bit Timestamp", when=_platform(0, 7)),
)  # fmt: skip
