"""Fields of application protocols in the shared captures: every frame's equal what tshark prints of the file, live.

Compared are frames whose layers spanline decodes and in which it finds the applications that tshark finds: which those
are is tested elsewhere.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import spanline
from spanline.fields import find
from spanline.fields.applications import FIELDS
from spanline.fields.lines import Style, lines
from spanline.transforms.annotate import Annotate
from tests import tshark

CAPTURES = [
    "apps/dns__arkime__dns-wiresharkrepo.pcap",
    "apps/dns__dpkt__dns_icmp.pcap",
    "apps/dns__gopacket__test_dns.pcap",
    "apps/dns__suricata-verify__detect-dotprefix-03__input.pcap",
    "apps/dns__suricata-verify__dns-udp-eve-log-srv__input.pcap",
    "apps/dns__suricata-verify__lua-output-dns__test.pcap",
    "apps/dns__tcpflow__udp.pcap",
    "apps/dns__trex-core__sim_astf-udp_pcap.pcap",
    "apps/dns__zeek__long-connection.pcap",
    "apps/http__BruteShark__HTTP_-_NTLM.pcapng",
    "apps/http__PcapPlusPlus__raw_ip.pcap",
    "apps/http__Security-Datasets__pcap_log4shell_cve2021_44228_jndi_reference_2022-05-11181020.pcap",
    "apps/http__bro__ocsp-revoked.pcap",
    "apps/http__bulk-extractor__ntlm80.pcap",
    "apps/http__joy__sample.pcap",
    "apps/http__tcpflow__bug6.pcap",
    "apps/http__tcpflow__bug8.pcap",
    "apps/http__wireshark__examples__test.cap",
    "apps/http__zeek__wstunnel-ssh.pcap",
    "apps/ndpi__nDPI__Oscar.pcap",
    "apps/ndpi__nDPI__WebattackSQLinj.pcap",
    "apps/ndpi__nDPI__avast_securedns.pcapng",
    "apps/ndpi__nDPI__bittorrent_utp.pcap",
    "apps/ndpi__nDPI__custom_categories.pcapng",
    "apps/ssdp__ipfixprobe__ssdp.pcap",
    "apps/ssdp__suricata-verify__ssdp.pcap",
    "apps/tls__PcapPlusPlus__tls.pcap",
    "apps/tls__eos-methods__gnmi.pcap",
    "apps/tls__ja4__latest.pcapng",
    "apps/tls__joy__openssl102n.pcap",
    "apps/tls__scapy__tls_nss_example.pcap",
    "apps/tls__suricata-verify__bypass-depth-disabled__input.pcap",
    "apps/tls__suricata-verify__issue_no_icmp.pcap",
    "apps/tls__suricata-verify__ja4-tls__input.pcap",
    "apps/tls__trex-core___tun_https_0_fixed.pcap",
    "apps/tls__wireshark__rsasnakeoil2.pcap",
    "formats/damaged__suricata-verify__tls_DER-incomplete-content.pcap",
    "formats/damaged__suricata-verify__tls_DER-incomplete-header.pcap",
    "formats/gz__bro__tls-fragmented-handshake.pcap.gz",
    "plaintext/telnet__BruteShark__Telnet_-_Char_Mode.pcap",
    "plaintext/telnet__BruteShark__Telnet_-_Line_Mode.pcapng",
    "plaintext/telnet__PcapPlusPlus__telnet.pcap",
]
NAMES = ["frame.protocols", *(field.name for field in FIELDS if "." in field.name)]
# Those that have fields.
APPLICATIONS = {"dns", "mdns", "llmnr", "tls", "http", "ssdp", "telnet", "data"}

# By capture and field: why some values differ.
BODY = "a segment inside a body: tshark leaves out the end of what came before"
OTHER_VALUES = {
    ("apps/http__BruteShark__HTTP_-_NTLM.pcapng", "data.data"): BODY,
    ("apps/http__BruteShark__HTTP_-_NTLM.pcapng", "data.len"): BODY,
    ("apps/http__bulk-extractor__ntlm80.pcap", "data.data"): BODY,
    ("apps/http__bulk-extractor__ntlm80.pcap", "data.len"): BODY,
}


def theirs(path: Path) -> list[list[str]]:
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *(word for name in NAMES for word in ("-e", name))]
    text = subprocess.run(command, capture_output=True, timeout=60).stdout.decode(errors="replace")
    return [line.split("\t") for line in text.split("\n")[:-1]]


def ours(path: Path) -> list[list[str]]:
    fields = [field for name in NAMES if (field := find(name))]
    batches = spanline.open(path).run(transforms=[Annotate(messages=True)])
    text = b"".join(lines(batch, fields, Style()) for batch in batches).decode(errors="replace")
    return [line.split("\t") for line in text.split("\n")[:-1]]


def is_comparable(ours: str, theirs: str) -> bool:
    """By the stacks of protocols of a frame. The data that an echo carries is no message."""
    stack = theirs.split(":")
    return (
        tshark.is_covered({"frame.protocols": theirs})
        and not {"icmp", "icmpv6", "quic"}.intersection(stack)
        and APPLICATIONS.intersection(ours.split(":")) == APPLICATIONS.intersection(stack)
    )


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_values_equal_tsharks(captures: Path) -> None:
    """Oracle: tshark, live, on each capture with all fields at once. Of each field there is something to compare."""
    wrong, seen = [], Counter[str]()
    for capture in CAPTURES:
        for number, (own, other) in enumerate(
            zip(ours(captures / capture), theirs(captures / capture), strict=True), start=1
        ):
            if not is_comparable(own[0], other[0]):
                continue
            for name, value, wanted in zip(NAMES[1:], own[1:], other[1:], strict=True):
                seen[name] += bool(wanted)
                if value != wanted and (capture, name) not in OTHER_VALUES:
                    wrong.append((capture, number, name, value[:80], wanted[:80]))
    assert wrong == []
    assert all(seen[name] for name in NAMES[1:]), seen
