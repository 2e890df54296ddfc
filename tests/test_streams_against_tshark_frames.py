"""Stream numbers and TCP analysis of every frame against tshark 4.0.17, over all captures and on a crafted one.

Numbers depend on every frame before: they are compared in captures of which spanline decodes each frame that has one.
Sequence numbers, windows and analysis are compared for streams of which it decodes each frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import spanline
from spanline.schema import ANALYSIS_FLAGS, NO_TIME
from spanline.transforms.annotate import Annotate
from tests import tshark
from tests.test_frames_against_tshark import FOLDERS, OTHER_FRAMES

SUBDISSECTOR = "tshark gives the connection inside the proxy's a stream of its own"
CUT_HEADER = "16 to 19 bytes of a TCP header, the rest cut off: tshark knows the stream, spanline takes it for none"
LIES = "tshark stops at a malformed IP option and leaves the segment out"
BIG_TCP = "BIG TCP: an IPv6 or UDP length of 0; tshark 4.0 stops there, spanline reads on to the end of the frame"
CONVERSATION = "tshark's dissector announces a conversation, and the next packet opens a stream of its own"
# Captures that differ: of which protocol's fields, and why.
DIFFERENT = {
    "plaintext/vnc__nDPI__vnc.pcap": ("tcp", "tshark's VNC dissector opens a conversation of its own"),
    "plaintext/socks__ja4__socks-https-example.pcap": ("tcp.stream", SUBDISSECTOR),
    "plaintext/socks__nDPI__tls_heur__shadowsocks-tcp.pcapng": ("tcp.stream", SUBDISSECTOR),
    "plaintext/socks__nDPI__tls_heur__vmess-tcp.pcapng": ("tcp.stream", SUBDISSECTOR),
    "plaintext/socks__nDPI__tls_heur__vmess-tcp-tls.pcapng": ("tcp.stream", SUBDISSECTOR),
    "plaintext/socks__nDPI__shadowsocks.pcap": ("tcp.stream", SUBDISSECTOR),
    "ip/v6ext__FlowTest__ipv6-routing-header.pcap": ("tcp", "tshark's streams go by the segment list"),
    "apps/http__wireshark__examples__test.cap": ("tcp", CUT_HEADER),
    "ip/v4frag__maltrail__fragments.pcap": ("tcp", CUT_HEADER),
    "malformed/suricata__suricata-verify__tcp-session-decode-malformed-ipv4__input.pcap": ("tcp", LIES),
    "malformed/nDPI__nDPI__kerberos_fuzz.pcapng": ("tcp", "a TCP header of 8 bytes: tshark analyses what follows them"),
    "apps/http__tcpflow__bug8.pcap": ("tcp", "a time with more than 10^6 µs: tshark's 32-bit nanoseconds overflow"),
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv4.pcap": ("", BIG_TCP),
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv6.pcap": ("", BIG_TCP),
    **dict.fromkeys(
        [f"tunnels/geneve__tcpdump__bigtcp-ipv{a}-geneve-ipv{b}.pcap" for a in (4, 6) for b in (4, 6)], ("", BIG_TCP)
    ),
    "malformed/suricata__suricata-verify__udp-len-invalid__input.pcap": (
        "udp", "a UDP length of less than its header's: tshark stops, spanline takes it for a lie like any other"
    ),
    "malformed/bro__bro__snmpwalk-short.pcap": ("udp", CONVERSATION),
    "malformed/zeek__zeek__snmp-crash-62790.pcap": ("udp", CONVERSATION),
    "malformed/bro__bro__snmpv1_get_short.pcap": ("udp", CONVERSATION),
    "plaintext/sip__BruteShark__h223-over-rtp.cap": ("udp", CONVERSATION),
    "plaintext/snmp__nDPI__snmp.pcap": ("udp", CONVERSATION),
    "plaintext/snmp__eos-methods__snmp.pcap": ("udp", CONVERSATION),
    "plaintext/snmp__arkime__SNMPv2c_get_requests.pcap": ("udp", CONVERSATION),
    "plaintext/snmp__suricata-verify__snmp-v3-get-bulk-unauth.pcap": ("udp", CONVERSATION),
    "apps/ndpi__nDPI__skinny.pcap": ("udp", CONVERSATION),
    "apps/ics__ICS-Security-Tools__hart_ip.pcap": ("udp", CONVERSATION),
    "apps/ndpi__nDPI__hart_ip.pcap": ("udp", CONVERSATION),
    "malformed/zeek__zeek__nfs_write_bad_stable_how.pcap": ("udp", "portmap: all clients of a port are one stream"),
    "tcp/other__zeek__nfs_write.pcap": ("udp", "portmap: all clients of a port are one stream"),
    "apps/other__bro__rpc-portmap-sadmind.pcap": ("udp", "portmap: all clients of a port are one stream"),
}  # fmt: skip

FLAGS = (
    "retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order", "lost_segment",
    "duplicate_ack", "keep_alive", "zero_window", "window_update",
)  # fmt: skip
NUMBERS = ("tcp.stream", "udp.stream")
COLUMNS = {"tcp.seq": "seq", "tcp.ack": "ack", "tcp.window_size": "window"}
TIMES = ("initial_rtt", "ack_rtt")
FIELDS = (*NUMBERS, *COLUMNS, "tcp.len", *(f"tcp.analysis.{name}" for name in FLAGS + TIMES))
STREAM, LENGTH, DETAILS = 1, 2, 8


def seconds(duration: int) -> str:
    whole, rest = divmod(abs(duration), 10**9)
    return f"{'-' if duration < 0 else ''}{whole}.{rest:09d}"


def analysed(capture: Path, **options: int) -> list[dict[str, str]]:
    """What spanline says of every frame, as tshark prints it; a flag is "1"."""
    frames: list[dict[str, str]] = []
    for batch in spanline.open(capture).run(transforms=[Annotate(details=True, **options)]):
        first = len(frames)
        rows, flags, present = batch.analysis, batch.streams["analysis"], batch.analysis["present"]
        frames += ({} for _ in range(len(batch)))
        for name in NUMBERS:
            for packet, number in zip(*(part.tolist() for part in batch.stream_numbers(name[:3])), strict=True):
                frame = frames[first + packet]
                frame[name] = f"{frame[name]},{number}" if name in frame else str(number)
        shown = [(name, rows[column], present & STREAM) for name, column in COLUMNS.items()]
        for name, values, where in (*shown, ("tcp.len", rows["length"], present & LENGTH)):
            for packet in np.flatnonzero(where).tolist():
                frames[first + packet][name] = str(values[packet])
        for name in FLAGS:
            bit = 1 << ANALYSIS_FLAGS.index(name.replace("_", "-"))
            for packet in np.flatnonzero(flags & bit).tolist():
                frames[first + packet][f"tcp.analysis.{name}"] = "1"
        for name in TIMES:
            for packet in np.flatnonzero((present & DETAILS > 0) & (rows[name] != NO_TIME)).tolist():
                frames[first + packet][f"tcp.analysis.{name}"] = seconds(int(rows[name][packet]))
    return frames


def streams_in_doubt(frames: list[tshark.Frame]) -> set[tuple[str, str]]:
    """(field, number) of the streams that have a frame that spanline does not decode to its end."""
    found = set()
    for frame in frames:
        if not tshark.is_covered(frame):
            found |= {(name, number) for name in NUMBERS for number in tshark.occurrences(frame, name)}
    return found


def compared(frames: list[tshark.Frame]) -> Iterator[tuple[int, list[str]]]:
    """The frames, from 0, and the fields of each that must be equal."""
    doubtful = streams_in_doubt(frames)
    for n, frame in enumerate(frames):
        names = [] if doubtful else list(NUMBERS)
        numbers = tshark.occurrences(frame, "tcp.stream")
        if not tshark.quotes(frame) and not any(("tcp.stream", number) in doubtful for number in numbers):
            names += FIELDS[len(NUMBERS) :]
        if tshark.is_covered(frame):
            yield n, names


def theirs(frame: tshark.Frame, name: str) -> str:
    text = frame.get(name, "")
    return "1" if text and name.removeprefix("tcp.analysis.") in FLAGS else text


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_frame_equals_tsharks(folder: str, captures: Path, oracle: Path) -> None:
    wrong, stale = [], []
    for path in (p for p in tshark.manifest(captures) if p.startswith(f"{folder}/") and p not in OTHER_FRAMES):
        frames = tshark.frames(oracle, path)
        if not frames:
            continue
        ours, different = analysed(captures / path), []
        for n, names in compared(frames):
            for name in names:
                if theirs(frames[n], name) != ours[n].get(name, ""):
                    different.append((name, n + 1, theirs(frames[n], name), ours[n].get(name, "")))
        listed = DIFFERENT.get(path)
        unlisted = [d for d in different if not listed or not d[0].startswith(listed[0])]
        wrong += [f"{path}: {unlisted[0]} ({len(unlisted)} in all)"] if unlisted else []
        stale += [path] if listed and not different else []
    assert not wrong, "\n".join(wrong)
    assert not stale, f"listed as different, but equal: {stale}"


def test_much_is_compared(captures: Path, oracle: Path) -> None:
    counts: Counter[str] = Counter()
    for path in tshark.manifest(captures):
        frames = tshark.frames(oracle, path)
        for n, names in compared(frames):
            counts.update(name for name in names if frames[n].get(name))
    assert counts["tcp.stream"] > 100_000
    assert counts["udp.stream"] > 30_000
    assert counts["tcp.seq"] > 100_000
    assert counts["tcp.analysis.ack_rtt"] > 48_000
    assert counts["tcp.analysis.retransmission"] > 2_000
    assert counts["tcp.analysis.out_of_order"] > 80
