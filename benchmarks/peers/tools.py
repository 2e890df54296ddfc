"""The programs that are compared, how each is run, and what it does not do."""

from __future__ import annotations

import sys
from pathlib import Path

from peers.install import python_with
from peers.measure import Tool

HERE = Path(__file__).resolve().parent

SPANLINE_DECODE = Tool(
    "spanline, decode",
    (sys.executable, f"{HERE / 'run_decode.py'}", "{capture}"),
    "to structured arrays of 128 bytes a packet, every header checked",
)
TCPDUMP = Tool(
    "tcpdump -w /dev/null", ("tcpdump", "-r", "{capture}", "-w", "/dev/null"), "copies records and decodes no header"
)
DECODERS = (SPANLINE_DECODE, TCPDUMP)

CRUNCH = Tool(
    "spanline crunch",
    (f"{Path(sys.executable).with_name('spanline')}", "crunch", "{capture}", "-o", "flows.parquet"),
    "bidirectional flows with RTTs, history and conn_state, of the innermost packets, to Parquet",
)

# -n: to a port of the loopback interface where nobody listens. -p and -c take relative paths only.
_SOFTFLOWD = ("softflowd", "-r", "{capture}", "-v", "9", "-n", "127.0.0.1:9995", "-d", "-p", "pid", "-c", "control")
SOFTFLOWD = Tool(
    "softflowd -m 1000000",
    (*_SOFTFLOWD, "-m", "1000000"),
    "NetFlow 9 over UDP, to nobody; no VXLAN (outer flows only), no RTT, no history, no conn_state",
    r"Flows expired: (\d+)",
)
SOFTFLOWD_SMALL_TABLE = Tool(
    "softflowd",
    _SOFTFLOWD,
    "the same with its default table of 8,192 flows; when that is full it ends flows early, and counts them again",
    r"Flows expired: (\d+)",
)
NFPCAPD = Tool(
    "nfpcapd",
    ("nfpcapd", "-r", "{capture}", "-w", "."),
    "unidirectional flows to nfdump's files; no VXLAN (outer flows only), no RTT, no history, no conn_state",
    r"Flows: (\d+)",
)
TSHARK = Tool(
    "tshark -z conv,tcp",
    ("tshark", "-n", "-q", "-r", "{capture}", "-z", "conv,tcp"),
    "TCP only, a table of text; dissects every application protocol on the way; follows VXLAN, its table has no VNI",
    r"<->",
    once=True,
)


def python_tools() -> tuple[Tool, Tool]:
    """The peers written for Python, installed first where that is needed."""
    dpkt = Tool(
        "dpkt",
        (f"{python_with('dpkt')}", f"{HERE / 'run_dpkt.py'}", "{capture}"),
        "a loop of one's own that counts packets and bytes by five-tuple; all else is left to write",
        once=True,
    )
    nfstream = Tool(
        "nfstream",
        (f"{python_with('nfstream')}", f"{HERE / 'run_nfstream.py'}", "{capture}"),
        "flows as Python objects, application recognition and statistics switched off; no VXLAN (outer flows only), "
        "no RTT, no history, no conn_state",
    )
    return nfstream, dpkt
