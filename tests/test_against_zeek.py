"""conn_state and history against Zeek's own answers: the conn.log baselines of its test suite for the same traces.

Left out are connections that Zeek ends by a rule of its own (an unanswered SYN after five seconds, a protocol script
that stops looking), and captures cut by a snaplen: Zeek then reports gaps, spanline goes by the lengths on the wire.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import spanline
from spanline.arrow import textual

# capture, whether Zeek verified checksums, Zeek's test: {(originator, port, responder, port): (conn_state, history)},
# with "" where a baseline does not tell
Ends = tuple[str, int, str, int]
BASELINES: list[tuple[str, bool, str, dict[Ends, tuple[str, str]]]] = [
    (
        "tcp/named__bro__missing-syn.pcap",
        False,
        "testing/btest/core/tcp/missing-syn.zeek",
        {
            ("141.42.64.125", 56730, "125.190.109.199", 80): ("SF", "^hADdFaf"),
        },
    ),
    (
        "tunnels/gre__bro__gre-within-gre.pcap",
        True,
        "testing/btest/core/tunnels/gre-in-gre.test",
        {
            ("3.3.3.1", 520, "224.0.0.9", 520): ("S0", "D"),
            ("3.3.3.2", 520, "224.0.0.9", 520): ("S0", "D"),
        },
    ),
    (
        "tcp/syn-retx__zeek__ssh.client-side-half-duplex.pcap",
        True,
        "testing/btest/scripts/base/protocols/ssh/half-duplex-client.zeek",
        {
            ("192.168.2.1", 57191, "192.168.2.158", 22): ("SH", "SADF"),
            ("192.168.2.1", 56821, "192.168.2.158", 22): ("SH", "SADF"),
            ("192.168.2.1", 56837, "192.168.2.158", 22): ("SH", "SADF"),
            ("192.168.2.1", 56845, "192.168.2.158", 22): ("SH", "SADF"),
            ("192.168.2.1", 56878, "192.168.2.158", 22): ("SH", "SADF"),
            ("192.168.2.1", 56940, "192.168.2.158", 22): ("SH", "SADF"),
            ("192.168.2.1", 57831, "192.168.2.158", 22): ("SH", "SADF"),
            ("192.168.2.1", 59246, "192.168.2.158", 22): ("SH", "SADF"),
            ("192.168.1.32", 33910, "128.2.13.133", 22): ("SH", "SADF"),
            ("192.168.1.32", 41268, "128.2.10.238", 22): ("SH", "SADF"),
            ("192.168.1.31", 52294, "192.168.1.32", 22): ("SH", "SADF"),
            ("192.168.1.31", 51489, "192.168.1.32", 22): ("SH", "SADF"),
            ("192.168.1.32", 58641, "131.103.20.168", 22): ("SH", "SADF"),
            ("192.168.1.32", 58646, "131.103.20.168", 22): ("SH", "SADF"),
            ("192.168.1.32", 58649, "131.103.20.168", 22): ("SH", "SADF"),
        },
    ),
    (
        "apps/ssh__bro__ssh-dups.pcap",
        False,
        "testing/btest/core/tcp/tcp-dups.zeek",
        {
            ("192.168.0.102", 53206, "192.168.0.112", 22): ("", "ShADTadtTtFf"),
        },
    ),
    (
        "malformed/zeek__zeek__bad-list-retr-crafted.pcap",
        True,
        "testing/btest/scripts/base/protocols/pop3/bad-list-retr-crafted.zeek",
        {
            ("127.0.0.1", 58854, "127.0.0.1", 110): ("RSTO", "ShAdDaFR"),
        },
    ),
    (
        "tcp/synack-retx__zeek__ctu-64702-888.pcap",
        False,
        "testing/btest/core/conn-size-flip.zeek",
        {
            ("192.168.1.108", 64702, "185.33.86.224", 888): ("", "^hAfdtFr"),
        },
    ),
    (
        "apps/tls__zeek__globus-url-copy.pcap",
        True,
        "testing/btest/scripts/base/protocols/ftp/gridftp.test",
        {
            ("192.168.57.103", 60108, "192.168.57.101", 2811): ("SF", "ShAdDaFf"),
        },
    ),
    (
        "plaintext/ftp__bro__cwd-navigation.pcap",
        True,
        "testing/btest/scripts/base/protocols/ftp/cwd-navigation.zeek",
        {
            ("10.3.22.91", 58218, "10.167.25.101", 21): ("S1", "ShAdDaGg"),
        },
    ),
    (
        "plaintext/pgsql__zeek__greenhouse-app.pcap",
        False,
        "testing/btest/scripts/base/protocols/postgresql/greenhouse-app.zeek",
        {
            ("172.21.0.8", 59060, "172.21.0.6", 5432): ("", "ShADad"),
            ("172.21.0.9", 52960, "172.21.0.6", 5432): ("", "ShADad"),
        },
    ),
    (
        "plaintext/socks__bro__socks.pcap",
        False,
        "testing/btest/core/tunnels/socks.bro",
        {
            ("127.0.0.1", 62270, "127.0.0.1", 1080): ("SF", "ShAaDdfF"),
        },
    ),
    (
        "tcp/synack-retx__zeek__m57-long-49600-80.pcap",
        True,
        "testing/btest/scripts/base/protocols/http/m57-long-download-windowsupdate-2.zeek",
        {
            ("192.168.1.105", 49600, "65.54.95.185", 80): ("", "ShADTadttfR"),
        },
    ),
    (
        "apps/quic__zeek__quic_win11_firefox_google.pcap",
        False,
        "testing/btest/scripts/base/protocols/quic/run-pcap.zeek",
        {
            ("1.2.3.4", 49369, "4.3.2.1", 443): ("SF", "Dd"),
        },
    ),
]


@pytest.mark.parametrize(("capture", "checksums", "test", "expected"), BASELINES, ids=[b[0] for b in BASELINES])
def test_connections_end_as_zeek_says(
    captures: Path, capture: str, checksums: bool, test: str, expected: dict[Ends, tuple[str, str]]
) -> None:
    reading = spanline.open(captures / capture, verify_checksums=checksums)
    # Five minutes is Zeek's idle timeout for TCP; it does not look at tunnels to tell connections apart.
    flows = textual(spanline.flows(reading, idle_timeout=300, active_timeout=None, by_vni=False)).to_pylist()
    ours = {
        (flow["source"], flow["source_port"], flow["destination"], flow["destination_port"]): (
            flow["conn_state"],
            flow["history"],
        )
        for flow in flows
    }
    for ends, (state, history) in expected.items():
        assert ends in ours, test
        assert ours[ends] == (state or ours[ends][0], history or ours[ends][1]), test
