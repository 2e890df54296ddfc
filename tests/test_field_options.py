"""-T, -e, -E and -d: what is wrong is one line with its place and what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import run

FIELDS = [
    (["ip.scr"], "-e 'ip.scr': no such field", "ip.src"),
    (["ip.source"], "no such field", "ip.src"),
    (["tcp.prot"], "no such field", "tcp.port"),
    (["tcp.sport"], "no such field", "tcp.port"),
    (["tcp.dport"], "no such field", "tcp.port"),
    (["tcp.flag"], "no such field", "tcp.flags"),
    (["tcp.flags.sin"], "no such field", "tcp.flags.syn"),
    (["udp.len"], "no such field", "udp.length"),
    (["eth.source"], "no such field", "eth"),
    (["vlan.vid"], "no such field", "vlan.id"),
    (["IP.SRC"], "no such field", "ip.src"),
    (["Ip.Dst"], "no such field", "ip.dst"),
    (["frame.nunber"], "no such field", "frame.number"),
    (["frame.tme"], "no such field", "frame.time"),
    (["ip.src", "ip.scr"], "-e 'ip.scr', the 2. of 2", "ip.src"),
    (["ip.src", "tcp.port", "x.y.z"], "-e 'x.y.z', the 3. of 3", ""),
    (["ip.src,ip.dst"], "not one field", "-e ip.src -e ip.dst"),
    (["ip.src ip.dst"], "not one field", "-e ip.src -e ip.dst"),
    ([""], "-e '': no such field", ""),
    ([" "], "not one field", ""),
    (["geneve.vin"], "no such field", "geneve.vni"),
    (["mpls.label"], "mpls is not decoded yet", ""),
    (["erspan.session"], "no such field", "erspan.version"),
    (["gtp.teid"], "gtp is not decoded yet", ""),
    (["ip.src\x1b[31m"], "no such field", "ip.src"),
]
STYLES = [
    ("header", "not a value of header", "y or n"),
    ("header=yes", "not a value of header", "y or n"),
    ("header=", "not a value of header", "y or n"),
    ("haeder=y", "no such option", "header"),
    ("bom=1", "not a value of bom", "y or n"),
    ("separator=", "not a value of separator", "/t, /s or one character"),
    ("separator=ab", "not a value of separator", "/t, /s or one character"),
    ("separator=é", "not a value of separator", "/t, /s or one character"),
    ("seperator=,", "no such option", "separator"),
    ("aggregator=/t", "not a value of aggregator", "/s or one character"),
    ("agregator=,", "no such option", "aggregator"),
    ("quote=x", "not a value of quote", "d, s or n"),
    ("quote", "not a value of quote", "d, s or n"),
    ("occurrence=first", "not a value of occurrence", "f, l or a"),
    ("occurence=f", "no such option", "occurrence"),
    ("", "no such option", "there are header"),
]
PORTS = [
    ("udp.port=4789,vxlan", "not LAYER==PORT,PROTOCOL", "udp.port==4789,vxlan"),
    ("udp.port==4789", "not LAYER==PORT,PROTOCOL", "udp.port==4789,vxlan"),
    ("4789", "not LAYER==PORT,PROTOCOL", "udp.port==4789,vxlan"),
    ("", "not LAYER==PORT,PROTOCOL", "udp.port==4789,vxlan"),
    ("tcp.port==4789,vxlan", "'tcp.port' cannot be chosen by", "only udp.port"),
    ("udp.port==80,http", "not decoded as 'http' on demand", "only vxlan and geneve"),
    ("udp.port==0,vxlan", "'0' is no UDP port", "1 to 65535"),
    ("udp.port==65536,vxlan", "'65536' is no UDP port", "1 to 65535"),
    ("udp.port==9-8,vxlan", "'9-8' is no UDP port", "1 to 65535"),
    ("udp.port==9:0,vxlan", "'9:0' is no UDP port", "1 to 65535"),
    ("udp.port==-1,vxlan", "'-1' is no UDP port", "1 to 65535"),
    ("udp.port==x,vxlan", "'x' is no UDP port", "1 to 65535"),
]
SHAPES = [
    (["-T", "fields"], "-T fields prints the fields of -e", "add -e ip.src"),
    (["-e", "ip.src"], "-e and -E say what -T prints", "add -T fields"),
    (["-E", "header=y"], "-e and -E say what -T prints", "add -T fields"),
    (["-V", "-T", "json"], "-V and -T are two ways", "leave one out"),
    (["-T", "json", "--format", "csv"], "-T and csv are two ways", "leave one out"),
    (["-V", "--format", "json"], "-V and json are two ways", "leave one out"),
]


def asking(names: list[str]) -> list[str]:
    return ["-T", "fields", *(word for name in names for word in ("-e", name))]


WRONG = [
    *((asking(names), what, hint) for names, what, hint in FIELDS),
    *((["-T", "fields", "-e", "ip.src", "-E", style], what, hint) for style, what, hint in STYLES),
    *((["-d", ports], what, hint) for ports, what, hint in PORTS),
    *SHAPES,
]


@pytest.mark.parametrize(("arguments", "what", "hint"), WRONG)
def test_what_is_wrong_is_one_line(capture: Path, arguments: list[str], what: str, hint: str) -> None:
    result = run("packets", capture, *arguments, code=2)
    (line,) = result.stderr.splitlines()
    assert what in line
    assert hint in line
    assert line.isprintable()
    assert result.stdout == ""
