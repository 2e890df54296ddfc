"""ERSPAN and GENEVE: every field, every bit, and every cut.

Oracles: tshark 4.0.17 on the same crafted frames; RFC 8926 and draft-foschiano-erspan-03 for what rows say.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

import spanline
from spanline.fields import names
from spanline.schema import ERSPAN_FLAGS, NO_TUNNEL_ID, NO_VLAN, TUNNEL_KINDS
from tests import tshark
from tests.commands import run
from tests.craft import Frame, arp, ethernet, ipv4, ipv6, raw, tcp, udp, vlan
from tests.craft_files import START, Record, pcap
from tests.craft_fragments import pieces
from tests.craft_tunnels import erspan2, erspan3, geneve, geneve_option, gre, vxlan
from tests.rows import decode, decode_all, layers, mapped, row_of, stack, values, verdict
from tests.test_decode_damage import assert_inside

V4, V6 = ipv4("192.0.2.1", "192.0.2.2"), ipv6("2001:db8::1", "2001:db8::2")
INNER = ethernet() / ipv4("10.9.9.1", "10.9.9.2") / udp(5555, 6666) / b"inner"
TO_GENEVE = udp(50000, 6081)
MOST_OPTIONS = b"".join(geneve_option(n, bytes([n]) * 8) for n in range(21))


def subheader(platform: int) -> bytes:
    return struct.pack("!II", platform << 26 | 0x2ABCDEF, 0x89ABCDEF)


def of_gre(kind: int, header: bytes) -> Frame:
    return gre(protocol=kind, sequence=7) / header


def gcp(kind: int) -> bytes:
    return geneve_option(kind, bytes(range(0x81, 0x89)), option_class=0x0132)


# Frames that tshark and spanline see alike, to the last field.
ALIKE = {
    "type I": V4 / gre(protocol=0x88BE) / INNER,
    "type I with a key": V4 / gre(protocol=0x88BE, key=0x2A) / INNER,
    "type II": V4 / gre(sequence=1) / erspan2(1023, vlan_id=4095, cos=7, index=0xFFFFF) / INNER,
    "type II, cut": V4 / gre(sequence=2) / erspan2(1, vlan_id=9, truncated=True) / INNER,
    "type II, all bits": V4 / of_gre(0x88BE, b"\x1f\xff\xff\xff\xff\xff\xff\xff") / INNER,
    "type II, tagged": V4 / gre(sequence=3) / erspan2(2) / ethernet() / vlan(7) / V4 / tcp(),
    "type II over IPv6": V6 / gre(sequence=4, key=5) / erspan2(3) / ethernet() / V6 / tcp(),
    "type II, ARP": V4 / gre(sequence=5) / erspan2(3) / ethernet() / arp(),
    "type II where III is announced": V4 / of_gre(0x22EB, b"\x10\x07\x08\x09\x00\x00\x00\x05") / INNER,
    "type III where II is announced": V4 / of_gre(0x88BE, b"\x20\x07\x08\x09" + bytes(8)) / INNER,
    "type III": V4 / gre(sequence=1) / erspan3(5, vlan_id=6, timestamp=2**32 - 1, granularity=3, egress=True) / INNER,
    "type III without a sequence": V4 / gre() / erspan3(5, truncated=True) / INNER,
    "type III, all bits but frame type": V4 / of_gre(0x22EB, b"\x2f" + b"\xff" * 9 + b"\x83\xff" + bytes(8)) / INNER,
    "type III, frame type 7": V4 / gre(sequence=1) / erspan3(5, frame_type=7) / bytes(20),
    **{
        f"type III, platform {n}": V4 / gre(sequence=n) / erspan3(n, platform=subheader(n)) / INNER
        for n in (0, 1, 3, 4, 5, 6, 7, 8, 63)
    },
    "GENEVE": V4 / TO_GENEVE / geneve(0xABCDEF) / INNER,
    **{f"GENEVE, version {n}": V4 / TO_GENEVE / geneve(1, version=n) / INNER for n in (1, 2, 3)},
    "GENEVE over IPv6": V6 / TO_GENEVE / geneve(1) / INNER,
    "IPv4 in GENEVE": V4 / TO_GENEVE / geneve(2) / ipv4("10.0.0.1", "10.0.0.2") / tcp(),
    "IPv6 in GENEVE": V4 / TO_GENEVE / geneve(3) / V6 / tcp(),
    "ARP in GENEVE": V4 / TO_GENEVE / geneve(4) / arp(),
    "OAM and critical": V4 / TO_GENEVE / geneve(5, flags=0xC0) / INNER,
    "options": V4 / TO_GENEVE / geneve(6, options=geneve_option(0x81, bytes(8)) + geneve_option(2)) / INNER,
    "252 bytes of options": V4 / TO_GENEVE / geneve(7, options=MOST_OPTIONS) / INNER,
    "63 options": V4 / TO_GENEVE / geneve(7, options=geneve_option(3) * 63) / INNER,
    "an option beyond the options": V4 / TO_GENEVE / geneve(8, options=geneve_option(1) + b"\1\2\3\x1f") / INNER,
    "options of Google": V4 / TO_GENEVE / geneve(9, options=gcp(1) + gcp(2) + gcp(3) + gcp(4)) / INNER,
    "unknown content": V4 / TO_GENEVE / geneve(10) / raw(bytes(20), ether_type=0x1234),
    "options beyond the datagram": V4 / TO_GENEVE / b"\x3f\0\x65\x58\0\0\7\0" / bytes(100),
    "GRE": V4 / gre(key=1) / INNER,
    "plain": V4 / tcp(),
    "GENEVE in VXLAN": V4 / udp(1, 4789) / vxlan(11) / ethernet() / V4 / TO_GENEVE / geneve(12) / INNER,
    "VXLAN in GENEVE": V4 / TO_GENEVE / geneve(13) / ethernet() / V4 / udp(1, 4789) / vxlan(14) / INNER,
    "ERSPAN in GENEVE": V4 / TO_GENEVE / geneve(15) / ethernet() / V4 / gre(sequence=8) / erspan2(16) / INNER,
    "GENEVE in ERSPAN": V4 / gre(sequence=9) / erspan3(17) / ethernet() / V4 / TO_GENEVE / geneve(18) / INNER,
    "ERSPAN in ERSPAN": V4 / gre(sequence=9) / erspan3(19) / ethernet() / V4 / gre(sequence=1) / erspan2(20) / INNER,
}
COMPARED = (
    "frame.protocols",
    *(name for name in names() if name.startswith(("erspan.", "geneve.", "gre.", "vxlan."))),
    *("eth.src", "vlan.id", "ip.src", "ip.dst", "ipv6.src", "udp.srcport", "udp.dstport", "tcp.dstport", "arp.opcode"),
)


def test_every_field_is_tsharks(tmp_path: Path) -> None:
    """Oracle: tshark on the same file. What is no protocol that spanline knows, `data` in tshark, is not compared."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([ethernet() / frame for frame in ALIKE.values()]))
    shown = [word for name in COMPARED for word in ("-e", name)]
    ours = [line.split("\t") for line in run("packets", path, "-n", "0", "-T", "fields", *shown).stdout.splitlines()]
    theirs = tshark.fields(path, "frame", *COMPARED)
    assert len(ours) == len(theirs) == len(ALIKE)
    different = [
        f"{kind}: {name} is {mine!r}, not {other!r}"
        for kind, our_line, their_line in zip(ALIKE, ours, theirs, strict=True)
        for name, mine, other in zip(COMPARED, our_line, their_line, strict=True)
        if mine != other.removesuffix(":data")
    ]
    assert not different, "\n".join(different)


FILTERS = (
    *("erspan", "geneve", "erspan && geneve", "!erspan && !geneve", "erspan.spanid == 3", "erspan.vlan"),
    *("erspan.index", "erspan.truncated == 1", "erspan.direction == 1", "erspan.platid == 5", "erspan.pid1.vsmid"),
    *(
        "erspan.version > 1",
        "geneve.vni == 5",
        "geneve.vni == 0xABCDEF",
        "geneve.flags.oam == 1",
        "geneve.proto_type == 0x0800",
    ),
    *("geneve.option.class == 0x0108", "geneve.option.type.critical == 1", "geneve.option.length > 100"),
    *("geneve.option.gcp.vnid", "geneve.option.gcp.direction == 0", "geneve.vni in {1..3}", "gre and not erspan"),
    *("udp.port == 6081 && udp.port == 5555", "geneve[0] == 0", "erspan[0:2] == 1f:ff", "ip.src#2 == 10.9.9.1"),
)


@pytest.mark.parametrize("text", FILTERS)
def test_filters_choose_what_tshark_chooses(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([ethernet() / frame for frame in ALIKE.values()]))
    ours = run("packets", path, "-n", "0", "-Y", text, "-T", "fields", "-e", "frame.number").stdout.split()
    assert ours == [number for (number,) in tshark.fields(path, text, "frame.number")]
    assert 0 < len(ours) < len(ALIKE)


# --- rows


def tunnel(frame: Frame) -> tuple[object, ...]:
    (row,) = decode(ethernet() / vlan(77) / frame).tunnels
    names = ("kind", "id", "sequence", "vlan", "flags")
    kind, *others = (row[name].item() for name in names)
    return TUNNEL_KINDS[kind], *others


OFTEN, CUT, OUT, SUB = (ERSPAN_FLAGS[name] for name in ("cos", "truncated", "egress", "subheader"))
ROWS = {
    "type I": (V4 / gre(protocol=0x88BE) / INNER, ("erspan", NO_TUNNEL_ID, 0, 77, 0)),
    "type I with a key": (V4 / gre(protocol=0x88BE, key=42) / INNER, ("erspan", 42, 0, 77, 0)),
    "type II": (V4 / gre(sequence=9) / erspan2(3, vlan_id=5, cos=7, truncated=True) / INNER,
                ("erspan", 3, 9, 5, OFTEN | CUT)),
    "session over key": (V4 / gre(sequence=9, key=42) / erspan2(3) / INNER, ("erspan", 3, 9, 0, 0)),
    "type III": (V4 / gre(sequence=9) / erspan3(1023, vlan_id=6, egress=True, platform=bytes(8)) / INNER,
                 ("erspan", 1023, 9, 6, OUT | SUB)),
    "granularity": (V4 / gre(sequence=9) / erspan3(1, granularity=3, truncated=True) / INNER,
                    ("erspan", 1, 9, 0, CUT | ERSPAN_FLAGS["granularity"])),
    "encapsulation": (V4 / of_gre(0x88BE, b"\x10\0\x18\0" + bytes(4)) / INNER,
                      ("erspan", 0, 7, 0, ERSPAN_FLAGS["encapsulation"])),
    "GENEVE": (V4 / TO_GENEVE / geneve(0xFFFFFF, flags=0xC1, options=bytes(8)) / INNER,
               ("geneve", 0xFFFFFF, 0, 77, 0x02C1)),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_tunnel_rows(name: str) -> None:
    """draft-foschiano-erspan-03 section 4, RFC 8926 section 3.4; one row for GRE and ERSPAN together."""
    frame, expected = ROWS[name]
    assert tunnel(frame) == expected
    row = row_of(decode(ethernet() / vlan(77) / frame))
    assert (row["tunnel_count"], row["tunnel_id"], row["vlan"]) == (1, expected[1], NO_VLAN)
    assert (row["source"], row["source_port"], row["payload_length"]) == (mapped("10.9.9.1"), 5555, 5)
    assert row["inner_length"] == len(INNER)


def test_ports_of_geneve() -> None:
    """By its destination alone, and those that were chosen; of a port in both it is GENEVE's."""
    outer = ethernet() / V4
    frames = [
        outer / udp(6081, 1) / geneve(1) / INNER,
        outer / udp(1, 6081) / geneve(1) / INNER,
        outer / udp(1, 7000) / geneve(1) / INNER,
        outer / udp(1, 4789) / vxlan(1) / INNER,
        outer / udp(1, 6081) / b"short",
    ]
    assert decode_all(frames).packets["tunnel_count"].tolist() == [0, 1, 0, 1, 0]
    assert decode_all(frames, geneve_port=7000).packets["tunnel_count"].tolist() == [0, 0, 1, 1, 0]
    both = decode_all(frames, geneve_port=(6081, 7000), vxlan_port=(4789, 7000))
    assert both.packets["tunnel_count"].tolist() == [0, 1, 1, 1, 0]
    assert [verdict(both, n) for n in range(5)] == ["ok"] * 5
    with pytest.raises(ValueError, match="65536 is not a port"):
        decode_all(frames, geneve_port=65536)


@pytest.mark.parametrize(
    ("options", "stacks"),
    [
        ((), ["udp:geneve", "udp", "udp:vxlan", "udp"]),
        (("udp.port==7777,geneve",), ["udp:geneve", "udp:geneve", "udp:vxlan", "udp"]),
        (("udp.port==7777:2,geneve",), ["udp:geneve", "udp:geneve", "udp:vxlan", "udp"]),
        (("udp.port==4789,geneve", "udp.port==4789,vxlan"), ["udp:geneve", "udp", "udp:vxlan", "udp"]),
        (("udp.port==8000,vxlan", "udp.port==7777,geneve"), ["udp:geneve", "udp:geneve", "udp:vxlan", "udp:vxlan"]),
    ],
)
def test_chosen_ports(options: tuple[str, ...], stacks: list[str], tmp_path: Path) -> None:
    """Oracle: tshark with the same -d, of which the last one for a port holds."""
    path = tmp_path / "a.pcap"
    tunnels = [udp(1, 6081) / geneve(1), udp(1, 7777) / geneve(1), udp(1, 4789) / vxlan(1), udp(1, 8000) / vxlan(1)]
    path.write_bytes(pcap([ethernet() / V4 / one / INNER for one in tunnels]))
    chosen = [word for option in options for word in ("-d", option)]
    shown = ("-T", "fields", "-e", "frame.protocols", "-e", "vxlan.vni", "-e", "geneve.vni", "-e", "udp.dstport")
    ours = run("packets", path, "-n", "0", *chosen, *shown).stdout
    inside = [line.split("\t")[0].removeprefix("eth:ethertype:ip:") for line in ours.splitlines()]
    assert [one.partition(":eth")[0] for one in inside] == stacks
    if shutil.which("tshark"):
        asked = ["tshark", "-n", "-r", str(path), *chosen, *shown]
        theirs = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout
        assert ours == theirs.replace(":data", "")


def test_more_options_than_ordinals() -> None:
    """63 in each of eight headers: the 255th and those behind it have one number, and all are there."""
    frame = Frame()
    for n in range(8):
        frame = frame / ethernet() / V4 / TO_GENEVE / geneve(n, options=geneve_option(n) * 63)
    batch = decode(frame / INNER)
    ordinals = batch.headers("geneve.option")["ordinal"].tolist()
    assert ordinals == [*range(1, 255), *[255] * (8 * 63 - 254)]
    assert values(batch, "geneve.option.type") == [n for n in range(8) for _ in range(63)]


# --- damage

CUT_TUNNELS = {
    "type I": (gre(protocol=0x88BE), "erspan", 0),
    "type II": (gre(sequence=1) / erspan2(9), "erspan", 8),
    "type III": (gre(sequence=1) / erspan3(9), "erspan", 12),
    "type III with a subheader": (gre(sequence=1) / erspan3(9, platform=subheader(1)), "erspan", 20),
    "GENEVE": (TO_GENEVE / geneve(9), "geneve", 8),
    "GENEVE with options": (TO_GENEVE / geneve(9, options=MOST_OPTIONS), "geneve", 260),
}


@pytest.mark.parametrize("name", CUT_TUNNELS)
@pytest.mark.parametrize("outer", [V4, V6], ids=["IPv4", "IPv6"])
def test_every_cut(name: str, outer: Frame) -> None:
    """What the capture cut is truncated at the layer that goes on."""
    header, protocol, size = CUT_TUNNELS[name]
    whole = bytes(ethernet() / outer / header / INNER)
    end = len(whole) - len(INNER)
    batch = decode_all(Record(START, whole[:cut], len(whole)) for cut in range(len(whole) + 1))
    assert_inside(batch)
    complete = [layer for layer in layers(decode(whole)) if "." not in layer[0]]
    assert (protocol, end - size, size) in complete
    for cut in range(len(whole) + 1):
        told = [layer for layer in layers(batch, cut) if "." not in layer[0]]
        whole_ones = [layer for layer in complete if layer[1] + layer[2] <= cut]
        assert told[: len(whole_ones)] == whole_ones
        starts = end - size + (protocol == "geneve")
        if starts <= cut < end:
            assert verdict(batch, cut) == f"truncated {protocol}"
        elif cut >= end + 42:
            assert verdict(batch, cut) == "ok"
        elif cut >= end:
            assert verdict(batch, cut).startswith("truncated")
        assert row_of(batch, cut)["tunnel_id"] == (9 if size and cut >= end else NO_TUNNEL_ID)
    short = decode_all(whole[:cut] for cut in range(len(whole)))
    assert_inside(short)


@pytest.mark.parametrize(("header", "protocol"), [(erspan2, "type II"), (erspan3, "type III")], ids=["II", "III"])
def test_what_the_mirror_says_it_cut(header: object, protocol: str) -> None:
    """With T the inner frame ends early, though all that the mirror sent was captured."""
    inner = bytes(ethernet() / V4 / tcp(1234, 80) / bytes(100))
    for cut in range(len(inner) + 1):
        sent = ethernet() / V4 / gre(sequence=1) / header(1, truncated=True) / inner[:cut]  # type: ignore[operator]
        batch = decode(sent)
        assert_inside(batch)
        assert verdict(batch).split()[0] == ("truncated" if cut < 54 else "ok")
        if cut >= 34:
            assert row_of(batch)["inner_length"] == len(inner)
    whole = row_of(decode(ethernet() / V4 / gre(sequence=1) / header(1, truncated=True) / inner[:54]))  # type: ignore[operator]
    assert (whole["payload_length"], whole["source_port"]) == (100, 1234)


@pytest.mark.parametrize("name", CUT_TUNNELS)
@pytest.mark.parametrize("outer", [V4, V6], ids=["IPv4", "IPv6"])
def test_in_fragments(name: str, outer: Frame, tmp_path: Path) -> None:
    """Oracle: tshark, which puts them together as well."""
    header, protocol, _ = CUT_TUNNELS[name]
    (tmp_path / "a.pcap").write_bytes(pcap([ethernet() / one for one in pieces(outer / header / INNER, 48)]))
    (batch,) = spanline.open(tmp_path / "a.pcap")
    last = len(batch) - 1
    assert stack(batch, last).endswith(f"{protocol}:eth:ip:udp")
    assert row_of(batch, last)["source_port"] == 5555
    ((ports,),) = tshark.fields(tmp_path / "a.pcap", "udp.srcport == 5555", "udp.srcport")
    assert ports.split(",")[-1] == "5555"
