"""The programs that are compared, how each is run, and what it does not do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from peers.install import libtins_program, python_with
from peers.measure import Tool

HERE = Path(__file__).resolve().parent
OUTER = "flows inside VXLAN"
"""What nobody here but spanline and tshark looks for: the others count the flows of the outer headers."""

# --- frames: copied, counted or decoded

DECODE = Tool(
    "spanline, decode",
    (sys.executable, f"{HERE / 'run_decode.py'}", "{capture}"),
    "structured arrays of 128 bytes a packet, every header checked, in Python",
)
TCPDUMP = Tool("tcpdump -w /dev/null", ("tcpdump", "-r", "{capture}", "-w", "/dev/null"), "copies records", "decoding")
CAPINFOS = Tool(
    "capinfos",
    ("capinfos", "-csduaeyizxo", "{capture}"),
    "counts, sizes, times and rates; without its checksums of the file",
    "decoding",
)
LIBTINS = Tool(
    "libtins",
    (f"{libtins_program()}", "{capture}"),
    "a loop in C++ (parse_libtins.cpp): every packet as a chain of objects; addresses and ports are read",
    "flows; tunnels",
)
PCAPY = Tool(
    "pcapy-ng, loop",
    (f"{python_with('pcapy-ng')}", f"{HERE / 'run_pcapy.py'}", "{capture}"),
    "libpcap's loop with a callback in Python that adds up lengths",
    "decoding",
)
DECODERS = (DECODE, TCPDUMP, CAPINFOS, LIBTINS, PCAPY)

# --- flows

CRUNCH = Tool(
    "spanline crunch",
    (f"{Path(sys.executable).with_name('spanline')}", "crunch", "{capture}", "-o", "flows.parquet"),
    "bidirectional flows with RTTs, history and conn_state, of the innermost packets, to Parquet",
    "application recognition",
    loop=r"frames? in ([\d.]+) s ",
    summed=True,
)
CRUNCH_CAPPED = replace(CRUNCH, name="spanline crunch --memory 256M", command=(*CRUNCH.command, "--memory", "256M"))

# -n: to a port of the loopback interface where nobody listens. -p and -c take relative paths only.
_SOFTFLOWD = ("softflowd", "-r", "{capture}", "-v", "9", "-n", "127.0.0.1:9995", "-d", "-p", "pid", "-c", "control")
SOFTFLOWD = Tool(
    "softflowd -m 1000000",
    (*_SOFTFLOWD, "-m", "1000000"),
    "NetFlow 9 over UDP, to a port where nobody listens",
    f"{OUTER}; RTT; history; conn_state",
    r"Flows expired: (\d+)",
)
SOFTFLOWD_SMALL_TABLE = Tool(
    "softflowd",
    _SOFTFLOWD,
    "the same with its default table of 8,192 flows: when that is full it ends flows early, and counts them again",
    SOFTFLOWD.lacks,
    SOFTFLOWD.flows,
)
NFPCAPD = Tool(
    "nfpcapd",
    ("nfpcapd", "-r", "{capture}", "-w", "."),
    "unidirectional flows to nfdump's files",
    f"{OUTER}; bidirectional flows; RTT (without -o fat); history; conn_state",
    r"Flows: (\d+)",
)
ARGUS = Tool(
    "argus",
    ("argus", "-r", "{capture}", "-w", "flows.argus"),
    "bidirectional flows with status records to a file of its own, to be read by ra; it waits a second at its end",
    f"{OUTER}; history",
)
TCPTRACE = Tool(
    "tcptrace",
    ("tcptrace", "-q", "-n", "{capture}"),
    "connections with all of tcptrace's counters, none of them printed",
    f"UDP and ICMP; {OUTER}; output (in this mode)",
)
NDPI = Tool(
    "ndpiReader",
    ("ndpiReader", "-i", "{capture}"),
    "bidirectional flows with the application of each, and a summary",
    f"{OUTER}; a file of flows (in this mode)",
    r"Unique flows: +(\d+)",
)
NFSTREAM = Tool(
    "nfstream",
    (f"{python_with('nfstream')}", f"{HERE / 'run_nfstream.py'}", "{capture}"),
    "flows as Python objects, application recognition and statistics switched off",
    f"{OUTER}; RTT; history; conn_state",
)
TSHARK = Tool(
    "tshark -z conv,tcp",
    ("tshark", "-n", "-q", "-r", "{capture}", "-z", "conv,tcp"),
    "a table of text; dissects every application protocol on the way; follows VXLAN, without the VNI",
    "UDP and ICMP; VNI; RTT; Parquet",
    r"<->",
)
FLOW_PEERS = (SOFTFLOWD, SOFTFLOWD_SMALL_TABLE, NFPCAPD, ARGUS)
FLOW_MAKERS = (CRUNCH, *FLOW_PEERS, TCPTRACE, NDPI, NFSTREAM, TSHARK)

# --- what is too slow for the large captures

FIELDS = ("frame.time_epoch", "ip.src", "ip.dst", "tcp.srcport", "tcp.dstport")
TSHARK_FIELDS = Tool(
    "tshark -T fields",
    ("tshark", "-n", "-r", "{capture}", "-T", "fields", *(word for name in FIELDS for word in ("-e", name))),
    f"a line of text with {len(FIELDS)} fields a packet; dissects every application protocol on the way",
    "typed columns",
)
DPKT = Tool(
    "dpkt",
    (f"{python_with('dpkt')}", f"{HERE / 'run_dpkt.py'}", "{capture}"),
    "a loop of one's own (run_dpkt.py) that counts packets and bytes by five-tuple",
    f"{OUTER}; timeouts; RTT; all else",
)
SCAPY = Tool(
    "scapy",
    (f"{python_with('scapy')}", f"{HERE / 'run_scapy.py'}", "{capture}"),
    "the same loop with scapy (run_scapy.py)",
    DPKT.lacks,
)

# --- both cores


def threaded(threads: int) -> tuple[Tool, Tool]:
    """Decode and crunch with so many threads, on as many cores."""
    return (
        replace(
            DECODE, name=f"spanline, decode, {threads} threads", command=(*DECODE.command, f"{threads}"), cores=threads
        ),
        replace(
            CRUNCH,
            name=f"spanline crunch --threads {threads}",
            command=(*CRUNCH.command, "--threads", f"{threads}"),
            cores=threads,
        ),
    )
