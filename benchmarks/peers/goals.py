"""What was wanted, what was measured, and whether that is enough."""

from __future__ import annotations

import re

from peers import tools
from peers.measure import Result
from peers.sessions import THREADS, Measured

Row = tuple[str, str, str, str, str]
"""What, wanted, measured of whole processes, of our loop alone, reached."""

CAP_MB = 256 * 1024**2 / 1e6
BASE_MB, BYTES_A_FLOW = 150, 400


def _reached(yes: bool) -> str:
    return "yes" if yes else "**no**"


def _missing(what: str, wanted: str) -> Row:
    return what, wanted, "not measured", "", ""


def _faster(what: str, least: float, ours: Result | None, peer: Result | None, named: bool = False) -> Row:
    """How many times as fast as a peer on the same capture."""
    wanted = f"≥ {least:g}×"
    if not ours or not peer:
        return _missing(what, wanted)
    ratio = ours.mpps / peer.mpps
    loop = f"{ours.loop_mpps / peer.mpps:.2f}×" if ours.loop else ""
    return what, wanted, f"{ratio:.2f}×" + (f" ({peer.tool.name})" if named else ""), loop, _reached(ratio >= least)


def _scales(what: str, least: float, ours: Result | None, single: Result | None) -> Row:
    """How many times as fast as with one thread."""
    wanted = f"≥ {least:g}×"
    if not ours or not single:
        return _missing(what, wanted)
    ratio = ours.mpps / single.mpps
    loop = f"{ours.loop_mpps / single.loop_mpps:.2f}×" if ours.loop and single.loop else ""
    return what, wanted, f"{ratio:.2f}×", loop, _reached(ratio >= least)


def _share(what: str, least: float, ours: Result | None, whole: Result | None) -> Row:
    """How much of another rate of our own, in packets a second, is kept: of the loops too, as the start hides much."""
    wanted = f"≥ {least:.0%}"
    if not ours or not whole:
        return _missing(what, wanted)
    share = ours.mpps / whole.mpps
    loops = ours.loop_mpps / whole.loop_mpps if ours.loop and whole.loop else share
    return what, wanted, f"{share:.0%}", f"{loops:.0%}" if ours.loop else "", _reached(min(share, loops) >= least)


def _start(measured: Measured) -> Row:
    what, most = "start to end of a crunch of 2,000 packets", 0.6
    result = measured.result("start", tools.CRUNCH)
    if not result:
        return _missing(what, f"≤ {most:g} s")
    return what, f"≤ {most:g} s", f"{result.median:.2f} s", "", _reached(result.median <= most)


def _memory(measured: Measured) -> list[Row]:
    rows = []
    for result in measured.results("flows", tools.CRUNCH):
        most = BASE_MB + result.traffic.flows * BYTES_A_FLOW / 1e6
        peak = max(result.peak)
        what = f"peak memory of crunch, {result.traffic.flows:,} live flows"
        rows.append((what, f"≤ {most:.0f} MB", f"{peak:.0f} MB", "", _reached(peak <= most)))
    return rows


def _growth(measured: Measured) -> Row:
    wanted = "≤ 105 %"
    results = measured.results("growing", tools.CRUNCH)
    if len(results) < 2:
        return _missing("peak memory, a capture of ten times the size", wanted)
    before, after = results[-2:]
    what = f"peak memory of crunch, {after.size / 1e9:.2g} GB against {before.size / 1e9:.2g} GB"
    ratio = max(after.peak) / max(before.peak)
    return what, wanted, f"{ratio:.0%}", "", _reached(ratio <= 1.05)


def evicted(result: Result) -> int:
    """Flows that crunch says it evicted."""
    match = re.search(r"evicted ([\d,]+) flow", result.told)
    return int(match[1].replace(",", "")) if match else 0


def _capped(measured: Measured) -> list[Row]:
    result = measured.result("crowd", tools.CRUNCH_CAPPED)
    flows = f"{measured.scale.crowd.flows:,} flows under --memory 256M"
    most = CAP_MB * 1.1
    if not result:
        return [_missing(f"peak memory, {flows}", f"≤ {most:.0f} MB")]
    peak, gone = max(result.peak), evicted(result)
    exact = f"{result.traffic.packets:,} packets, {gone:,} evicted"
    return [
        (f"peak memory, {flows}", f"≤ {most:.0f} MB", f"{peak:.0f} MB", "", _reached(peak <= most)),
        # Who writes other packets than there are has failed and is not here.
        (
            f"Σ packets exact and evictions counted, {flows}",
            "exact",
            exact,
            "",
            "yes" if gone else "nothing was evicted",
        ),
    ]


def goals(measured: Measured) -> list[Row]:
    """Every goal, in the order of the work: frames, flows, cores, tunnels, memory."""
    find = measured.result
    mix, small = find("mix", tools.DECODE), find("small", tools.DECODE)
    crunch, crunch_small = find("mix", tools.CRUNCH), find("small", tools.CRUNCH)
    decode_both, crunch_both = tools.threaded(THREADS)
    bare, vxlan = measured.scale.bare, measured.scale.vxlan
    normal, colliding = measured.scale.colliding
    exporters = (tools.SOFTFLOWD, tools.SOFTFLOWD_SMALL_TABLE, tools.NFPCAPD)
    makers = (tools.SOFTFLOWD, tools.NFPCAPD, tools.ARGUS)
    return [
        _faster("decode against `tcpdump -w /dev/null`, mix", 2, mix, find("mix", tools.TCPDUMP)),
        _faster("decode against `tcpdump -w /dev/null`, 64-byte frames", 3, small, find("small", tools.TCPDUMP)),
        _faster("decode against libtins, mix", 4, mix, find("mix", tools.LIBTINS)),
        _faster("crunch against the fastest of softflowd and nfpcapd, mix", 3, crunch,
                measured.fastest("mix", exporters), named=True),
        _faster("crunch against nfstream, mix", 30, crunch, find("mix", tools.NFSTREAM)),
        _faster("crunch against `tshark -q -z conv,tcp`, mix", 60, crunch, find("mix", tools.TSHARK)),
        _faster("crunch against `tcpdump -w /dev/null`, mix", 1, crunch, find("mix", tools.TCPDUMP)),
        _faster("crunch against the fastest of softflowd, nfpcapd and argus, 64-byte frames", 6, crunch_small,
                measured.fastest("small", makers), named=True),
        _start(measured),
        _scales(f"decode with {THREADS} threads against one, mix", 1.8, find("mix", decode_both), mix),
        _scales(f"crunch with {THREADS} threads against one, mix", 1.8, find("mix", crunch_both), crunch),
        _share("decode inside VXLAN, of the packets/s of the same packets bare", 0.6,
               find("vxlan", tools.DECODE, vxlan), find("vxlan", tools.DECODE, bare)),
        _share("crunch inside VXLAN, of the packets/s of the same packets bare", 0.6,
               find("vxlan", tools.CRUNCH, vxlan), find("vxlan", tools.CRUNCH, bare)),
        _share("crunch of colliding five-tuples, of the packets/s of others", 0.9,
               find("colliding", tools.CRUNCH, colliding), find("colliding", tools.CRUNCH, normal)),
        *_memory(measured),
        _growth(measured),
        *_capped(measured),
    ]  # fmt: skip
