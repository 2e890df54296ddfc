"""Every frame of the shared captures, field by field, against tshark 4.0.17."""

from __future__ import annotations

import socket
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import spanline
from spanline.arrow import address_text
from spanline.fields import Kind, find, occurrences
from tests import tshark

FOLDERS = ("apps", "formats", "ip", "linktypes", "malformed", "mixed", "plaintext", "tcp", "tunnels")

FIELDS = (
    *("eth.src", "eth.dst", "vlan.id", "vlan.priority", "arp.opcode"),
    *("ip.src", "ip.dst", "ip.proto", "ip.ttl", "ip.id", "ip.dsfield"),
    *("ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.hlim", "ipv6.plen"),
    *("tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.seq_raw", "tcp.ack_raw", "tcp.window_size_value"),
    *("tcp.options.mss_val", "tcp.options.wscale.shift", "tcp.options.timestamp.tsval"),
    *("udp.srcport", "udp.dstport", "udp.length", "sctp.srcport", "sctp.dstport"),
    *("icmp.type", "icmp.code", "icmpv6.type"),
    *("vxlan.vni", "gre.proto", "gre.key", "gre.sequence_number"),
    *("geneve.vni", "erspan.version", "erspan.vlan", "erspan.spanid"),
)
HEXADECIMAL = {"tcp.flags": 4, "gre.proto": 4, "gre.key": 8, "ip.dsfield": 2, "ip.id": 4, "geneve.vni": 6}

# Captures in which tshark counts other frames, or none: why, and whether the frames of both can still be compared.
OTHER_FRAMES = {
    "formats/empty-valid-header__pcap-parser__test017-le.pcapng": "tshark shows custom blocks as frames",
    "formats/pcap-ns-le__gopacket__test018.pcapng": "tshark shows custom blocks as frames",
    "formats/pcapng-testgen__gopacket__test202.466918.pcapng": "tshark shows custom blocks as frames",
    "formats/pcapng-testgen__gopacket__test202.pcapng": "tshark shows custom blocks as frames",
    "formats/damaged__suricata-verify__fuzz.pcap": "tshark takes the damaged record headers for another kind of pcap",
    "formats/netmon2__jnetpcap-legacy__FTPv6-1.cap": "NetMon is not read",
    "formats/snoop__tcptrace__NASA_ipv6.snoop.gz": "snoop is not read",
    "formats/snoop__tcptrace__finger.snoop.gz": "snoop is not read",
    "formats/snoop__tcptrace__ipv6_ftp_nasa.snp.gz": "snoop is not read",
    "formats/unsupported-format__trex-core__pcap_mode2-0-ex.erf": "ERF is not read",
    "formats/xz__ngrep__no_radiotap.pcap.xz": "tshark 4.0 does not read xz",
    "formats/xz__ngrep__radiotap.pcap.xz": "tshark 4.0 does not read xz",
    "formats/zst__dnscap__dns.pcap.xz": "tshark 4.0 does not read xz",
    "linktypes/57842__ns-3-dev-git__ns3tcp-state2-response-vectors.pcap": "tshark refuses the file for its link type",
    "linktypes/57842__ns-3-dev-git__ns3tcp-state3-response-vectors.pcap": "tshark refuses the file for its link type",
    "linktypes/57842__ns-3-dev-git__ns3tcp-state4-response-vectors.pcap": "tshark refuses the file for its link type",
    "linktypes/57842__ns-3-dev-git__ns3tcp-state5-response-vectors.pcap": "tshark refuses the file for its link type",
    "linktypes/DSA_TAG__libpcap__brcm-tag.pcap": "tshark refuses the file for its link type",
    "malformed/tcpdump__tcpdump__brcm-tag.pcap": "tshark refuses the file for its link type",
    "malformed/tcpdump__tcpdump__edsa.pcap": "tshark refuses the file for its link type",
}

BIG_TCP = "BIG TCP: an IPv6 or UDP length of 0; tshark 4.0 stops there, spanline reads on to the end of the frame"
ATOMIC = "an atomic fragment with a UDP length beyond its end; tshark reads on, spanline stops there"
BOGUS_LENGTH = "a total length shorter than the header; tshark shows what stands before it, spanline nothing"
# Captures with frames in which a field differs, by prefix of the field's name, and why.
OTHER_FIELDS: dict[str, tuple[tuple[str, ...], str]] = {
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv4.pcap": (("eth", "ip", "tcp", "udp", "vxlan"), BIG_TCP),
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv6.pcap": (("eth", "ip", "tcp", "udp", "vxlan"), BIG_TCP),
    **dict.fromkeys(
        [f"tunnels/geneve__tcpdump__bigtcp-ipv{a}-geneve-ipv{b}.pcap" for a in (4, 6) for b in (4, 6)],
        (("eth", "ip", "tcp", "udp", "geneve"), BIG_TCP),
    ),
    "tunnels/geneve__PcapFlowLab__24_geneve_outer_ipv6_fragmentation.pcap": (("eth", "ip", "geneve"), ATOMIC),
    "ip/icmp__packetnet__ipv6_redirect.pcap": (
        ("ip", "icmpv6"),
        "tshark shows the packet quoted in a redirect's option; spanline knows what errors quote",
    ),
    "ip/v4opt__PcapFlowLab__07_ipv4_loose_source_route_udp.pcap": (
        ("ip.dst",),
        "tshark takes the destination from the source route; spanline shows the header's own",
    ),
    "malformed/bro__bro__ipv4-internally-truncated-header.pcap": (
        ("ip.dst",),
        "the capture ends inside the IP options; tshark then shows the source only",
    ),
    "malformed/suricata__suricata-verify__tcp-session-decode-malformed-ipv4__input.pcap": (
        ("tcp",),
        "tshark stops at a malformed IP option; spanline does not read IP options",
    ),
    "ip/v4opt__PcapFlowLab__17_ipv4_options_missing_length_byte_malformed.pcap": (
        ("ip.dsfield", "ip.len"),
        BOGUS_LENGTH,
    ),
    "malformed/bro__bro__ipv4-truncated-broken-header.pcap": (("ip.dsfield", "ip.len"), BOGUS_LENGTH),
    "malformed/nDPI__nDPI__kerberos_fuzz.pcapng": (("tcp.seq_raw",), "a TCP header that says it has 8 bytes"),
    "ip/v6ext__PcapFlowLab__25_vxlan_outer_ipv6_fragmentation.pcap": (
        ("vxlan",),
        ATOMIC,
    ),
    "malformed/suricata__suricata-verify__frag-12.pcap": (
        ("icmpv6",),
        "174 fragment headers one after another; spanline follows 128",
    ),
    "malformed/tcpdump__tcpdump__arp-oobr.pcap": (("arp.opcode",), "ATM ARP has another header"),
}


def as_tshark_prints(name: str, value: np.ndarray | np.generic) -> str:
    kind = find(name).kind
    if kind in (Kind.UNSIGNED, Kind.BOOLEAN):
        return f"0x{int(value):0{HEXADECIMAL[name]}x}" if name in HEXADECIMAL else str(int(value))
    octets = bytes(np.asarray(value))
    if kind == Kind.ETHER:
        return octets.hex(":")
    return socket.inet_ntop(socket.AF_INET if kind == Kind.IPV4 else socket.AF_INET6, octets)


def all_occurrences(capture: spanline.Capture) -> tuple[dict[str, dict[int, list[str]]], list[np.void]]:
    """By field, by frame number: its occurrences as tshark prints them. And the packet rows."""
    found: dict[str, dict[int, list[str]]] = {name: defaultdict(list) for name in FIELDS}
    rows: list[np.void] = []
    for batch in capture:
        for name in FIELDS:
            of_field = occurrences(batch, find(name))
            for packet, value in zip(of_field.packet.tolist(), of_field.values, strict=True):
                found[name][batch.first_frame + packet].append(as_tshark_prints(name, value))
        rows.extend(batch.packets.copy())
    return found, rows


def row_differences(row: np.void, frame: tshark.Frame) -> list[str]:
    """How the packet row differs from the innermost layers that tshark shows."""
    network = tshark.innermost(frame)
    if not network or not tshark.occurrences(frame, f"{network}.src") or row["ip_version"] == 0 != row["verdict"]:
        return []
    expected = {
        "source": frame[f"{network}.src"].split(",")[-1],
        "destination": frame[f"{network}.dst"].split(",")[-1],
    }
    actual = {name: address_text(row[name].tobytes()) for name in expected}
    transport = tshark.protocols(frame)[-1] if tshark.protocols(frame)[-1] in ("tcp", "udp", "sctp") else ""
    if transport and frame[f"{transport}.dstport"]:
        expected["source_port"] = frame[f"{transport}.srcport"].split(",")[-1]
        expected["destination_port"] = frame[f"{transport}.dstport"].split(",")[-1]
    if transport == "tcp" and frame["tcp.flags"]:
        for column, name in (("tcp_seq", "seq_raw"), ("tcp_ack", "ack_raw"), ("tcp_window", "window_size_value")):
            expected[column] = frame[f"tcp.{name}"].split(",")[-1]
        expected["tcp_flags"] = str(int(frame["tcp.flags"].split(",")[-1], 16))
    actual |= {name: str(row[name]) for name in expected if name not in actual}
    named = [frame[name] for name in ("vxlan.vni", "geneve.vni", "erspan.spanid") if frame[name]]
    if len(named) == 1 and not frame["gre.key"] and row["tunnel_count"]:
        expected["tunnel_id"], actual["tunnel_id"] = str(int(named[0].split(",")[-1], 0)), str(row["tunnel_id"])
    return [f"{name}: {actual[name]} is not {expected[name]}" for name in expected if actual[name] != expected[name]]


def differences(capture: spanline.Capture, frames: list[tshark.Frame]) -> dict[str, list[str]]:
    """What differs, by field name; "frames" when their number does, "row" for the packet row."""
    different: dict[str, list[str]] = defaultdict(list)
    found, rows = all_occurrences(capture)
    if len(rows) != len(frames):
        return {"frames": [f"{len(rows)} is not {len(frames)}"]}
    for number, (frame, row) in enumerate(zip(frames, rows, strict=True), start=1):
        if str(row["wire_length"]) != frame["frame.len"] or str(row["captured_length"]) != frame["frame.cap_len"]:
            different["frame.len"].append(f"frame {number}: {row['wire_length']} is not {frame['frame.len']}")
        if not tshark.is_covered(frame):
            continue
        for name in FIELDS:
            ours, theirs = found[name].get(number, []), tshark.occurrences(frame, name)
            if ours != theirs:
                different[name].append(f"frame {number}: {ours} is not {theirs} ({frame['frame.protocols'][:80]})")
        if not tshark.quotes(frame):
            different["row"] += [f"frame {number}: {text}" for text in row_differences(row, frame)]
    return {name: texts for name, texts in different.items() if texts}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_layer_of_every_frame_equals_tsharks(folder: str, captures: Path, oracle: Path) -> None:
    wrong, stale = [], []
    for path in (path for path in tshark.manifest(captures) if path.startswith(f"{folder}/")):
        frames = tshark.frames(oracle, path)
        try:
            different = differences(spanline.open(captures / path), frames)
        except spanline.CaptureError:
            different = {"frames": ["no capture"]} if frames else {}
        if path in OTHER_FRAMES:
            if not different:
                stale.append(path)
            continue
        listed, _ = OTHER_FIELDS.get(path, ((), ""))
        unlisted = [n for n in different if not n.startswith(tuple(listed)) and (n != "row" or not listed)]
        wrong += [f"{path}: {name}: {different[name][0]} ({len(different[name])} in all)" for name in unlisted]
        stale += [path] if listed and not different else []
    assert not wrong, "\n".join(wrong)
    assert not stale, f"listed as different, but equal: {stale}"


def test_the_comparison_covers_most_frames(captures: Path, oracle: Path) -> None:
    counts = np.zeros(3, int)
    for path in tshark.manifest(captures):
        for frame in tshark.frames(oracle, path):
            covered = tshark.is_covered(frame)
            counts += (1, covered, covered and tshark.is_fragment(frame))
    every, compared, fragments = counts.tolist()
    assert compared > 0.85 * every
    assert fragments > 1000
