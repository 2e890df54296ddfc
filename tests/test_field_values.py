"""Fields of frames of our own, printed: against tshark on the same file, and what only a terminal minds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spanline.cli.field_view import _for_terminal
from tests.commands import PROGRAM, run
from tests.craft import Frame, arp, ethernet, icmp, icmpv6, ipv4, ipv6, tcp, udp, vlan
from tests.craft_files import START, Pcapng, Record, pcap
from tests.craft_tunnels import gre, vxlan

FRAMES: list[Frame] = [
    ethernet() / ipv4() / tcp(1000, 80, seq=1, ack=1, flags="SA", options=b"\2\4\5\xb4\1\3\3\7\4\2\1\1") / b"GET",
    ethernet() / vlan(5) / ipv6() / udp(53, 9999) / b"x",
    ethernet() / ipv4() / udp(9, 4789) / vxlan(7) / ethernet() / ipv4("10.9.8.7", "10.9.8.6") / tcp(1, 2, flags="R"),
    ethernet() / ipv4() / gre(key=8, sequence=4) / ipv4() / udp(7, 9998),
    ethernet() / ipv4() / icmp(8, 0) / b"ping",
    # Four bytes of zeros: a number there would say how much is quoted (RFC 4884), to which tshark adds the IP header.
    ethernet() / ipv4() / icmp(3, 1, bytes(4)) / ipv4() / udp(7, 8),
    ethernet() / ipv4() / icmp(3, 1, bytes(4)) / ipv4(protocol=6, total_length=40) / bytes(tcp(7, 8, seq=9))[:8],
    ethernet() / ipv6() / icmpv6(1, 0, bytes(4)) / ipv6(next_header=6) / bytes(tcp(7, 8, seq=9, ack=5))[:16],
    ethernet() / arp(),
]
NAMES = (
    *("frame.number", "frame.time", "frame.time_epoch", "frame.time_relative", "frame.time_delta", "frame.len"),
    *("frame.cap_len", "frame.interface_id", "frame.interface_name"),
    *("eth.addr", "eth.type", "vlan.id", "vlan.etype", "arp.opcode", "arp.src.proto_ipv4", "arp.dst.hw_mac"),
    *("ip.version", "ip.hdr_len", "ip.addr", "ip.dsfield", "ip.dsfield.dscp", "ip.len", "ip.id", "ip.flags"),
    *("ip.flags.df", "ip.checksum", "ip.proto", "ip.frag_offset", "ipv6.tclass", "ipv6.flow", "ipv6.addr", "ipv6.nxt"),
    *("icmp.type", "icmp.code", "icmp.ident", "icmp.seq", "icmp.checksum", "icmpv6.type", "tcp.seq_raw", "tcp.ack_raw"),
    *("tcp.port", "tcp.flags", "tcp.flags.syn", "tcp.flags.reset", "tcp.hdr_len", "tcp.checksum", "tcp.urgent_pointer"),
    *("tcp.options.mss_val", "tcp.options.wscale.shift", "tcp.stream", "tcp.seq", "tcp.ack", "tcp.len", "tcp.nxtseq"),
    *("tcp.window_size", "tcp.window_size_scalefactor", "tcp.time_relative", "udp.port", "udp.length", "udp.checksum"),
    *("udp.stream", "vxlan.vni", "vxlan.flags", "vxlan.gbp", "gre.proto", "gre.key", "gre.sequence_number"),
)
ASKED = [word for name in NAMES for word in ("-e", name)]
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def tshark(*arguments: str | Path) -> str:
    command = ["tshark", "-n", "-r", *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    path = tmp_path / "frames.pcapng"
    path.write_bytes(Pcapng().file([Record(START + n * 1_500_001, frame) for n, frame in enumerate(FRAMES)]))
    return path


@needs_tshark
@pytest.mark.parametrize(
    "style",
    ["header=y", "occurrence=f", "occurrence=l", "aggregator=/s", "separator=,", "separator=/s", "quote=d", "quote=s",
     "bom=y"],
)  # fmt: skip
def test_lines_equal_tsharks(frames: Path, style: str) -> None:
    """Oracle: tshark, live."""
    ours = run("packets", frames, "-T", "fields", *ASKED, "-E", style).stdout.splitlines()
    theirs = tshark(frames, "-T", "fields", *ASKED, "-E", style).splitlines()
    assert ours == theirs


@needs_tshark
def test_objects_equal_tsharks(frames: Path) -> None:
    """Oracle: tshark, live. The order of an object's members means nothing."""
    ours = json.loads(run("packets", frames, "-T", "json", *ASKED).stdout)
    assert ours == json.loads(tshark(frames, "-T", "json", *ASKED))


@needs_tshark
def test_times_of_day_are_local(frames: Path) -> None:
    """Oracle: tshark, live, in a zone with winter time."""
    zone = {**os.environ, "TZ": "America/New_York"}
    theirs = subprocess.run(
        ["tshark", "-n", "-r", frames, "-T", "fields", "-e", "frame.time"], capture_output=True, check=True, env=zone
    ).stdout
    from tests.commands import spawn

    assert spawn("packets", frames, "-T", "fields", "-e", "frame.time", env=zone).stdout == theirs


def test_a_whole_object_and_a_tree_have_every_layer(frames: Path) -> None:
    third = json.loads(run("packets", frames, "-T", "json").stdout)[2]["_source"]["layers"]
    assert list(third) == ["frame", "eth", "ip", "udp", "vxlan", "tcp"]
    assert [one["ip.src"] for one in third["ip"]] == ["10.0.0.1", "10.9.8.7"]
    shown = run("packets", frames, "-V", "-n", "3").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "vxlan, bytes 42-49\n" in shown
    assert "  46-49    vxlan.vni                    7  VXLAN Network Identifier (VNI)\n" in shown


def test_several_ports_carry_vxlan(tmp_path: Path) -> None:
    path = tmp_path / "ports.pcap"
    inner = vxlan(7) / ethernet() / ipv4() / udp(1, 2)
    path.write_bytes(pcap([ethernet() / ipv4() / udp(9, port) / inner for port in (4789, 8000, 8001, 8002, 9000)]))
    for options, found in (([], 1), (["-d", "udp.port==8000-8001,vxlan"], 3), (["-d", "udp.port==8000:3,vxlan"], 4),
                           (["-d", "udp.port==8000,vxlan", "-d", "udp.port==9000,vxlan"], 3)):  # fmt: skip
        shown = run("packets", path, "-T", "fields", "-e", "vxlan.vni", *options).stdout
        assert shown.split() == ["7"] * found


def test_names_from_files_reach_no_terminal_raw(tmp_path: Path) -> None:
    hostile = "a\tb\nc\x1b[31m\u202eabc"
    made = Pcapng()
    path = tmp_path / "hostile.pcapng"
    path.write_bytes(made.section() + made.interface(name=hostile) + made.enhanced(FRAMES[0]))
    piped = run("packets", path, "-T", "fields", "-e", "frame.interface_name", "-e", "ip.src").stdout
    assert piped == "a\\tb\\nc\x1b[31m\u202eabc\t10.0.0.1\n"  # as tshark escapes it
    assert _for_terminal(piped.encode()).decode() == "a\\tb\\nc\\x1b[31m\\u202eabc\t10.0.0.1\n"
    (parsed,) = json.loads(run("packets", path, "-T", "json", "-e", "frame.interface_name").stdout)
    assert parsed["_source"]["layers"]["frame.interface_name"] == [hostile]
    tree = run("packets", path, "-V").stdout
    assert all(line.isprintable() for line in tree.splitlines())


@pytest.mark.parametrize("options", [[], ["-V"], ["-T", "fields", "-e", "frame.interface_name"], ["-T", "json"]])
def test_a_terminal_gets_nothing_raw(tmp_path: Path, options: list[str]) -> None:
    """Names of files and of what stands in them have what a terminal acts upon: here it is one."""
    hostile = "a\x1b[31m\u202e\x07\x9b2Jb"
    made = Pcapng()
    path = tmp_path / f"{hostile}.pcapng"
    path.write_bytes(made.section() + made.interface(name=hostile) + made.enhanced(FRAMES[0]))
    ours, theirs = os.openpty()
    child = subprocess.Popen([*PROGRAM, "packets", path, *options], stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while some := os.read(ours, 1 << 16):
            shown += some
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert child.wait(timeout=60) == 0
    text = shown.decode()
    assert "10.0.0.1" in text or "x1b" in text or "u001b" in text
    assert not [c for c in text if c not in "\t\r\n" and not c.isprintable()]
