"""libpcap's filter language (pcap-filter(7)): compiled by libpcap, run by ext/bpf.h over whole batches.

One text is one program for each link type.
"""

from __future__ import annotations

import numpy as np
import pcapy

from spanline._bpf import NOT_IN_FRAME, Program
from spanline.errors import UsageError

ETHERNET, RAW, NULL, LOOP, LINUX_COOKED, WIFI = 1, 101, 0, 108, 113, 105

MOST_TEXT = 4096
"""Characters of a filter. The time that libpcap needs grows with the cube of its length, and nothing interrupts it."""

_OPTIMIZED = 2048
_INSTRUCTION = np.dtype([("code", "u2"), ("jump_true", "u1"), ("jump_false", "u1"), ("k", "u4")])
# Where libpcap's own number of a link type (DLT_) is another one than that in files, on Linux; 14 is OpenBSD's raw IP.
_OWN_NUMBERS = {14: 12, 100: 11, RAW: 12, 102: 15, 103: 16, 106: 19}
_LONGEST_FRAME = 262144
_SHOWN = 60
_REJECTS_ALL = "expression rejects all packets"


def compile_program(text: str, link_type: int, *, swapped: bool = False) -> Program:
    """`text` for frames of a LINKTYPE_, as `tcpdump -r` compiles it.

    swapped  the capture was written on a machine of the other byte order, which shows in frames of LINKTYPE_NULL

    Raises UsageError with libpcap's message.
    """
    if len(text) > MOST_TEXT:
        raise UsageError(f"{len(text):,} characters are more than the {MOST_TEXT:,} that libpcap is trusted with")
    # The loopback header of OpenBSD is the same in network order.
    number = LOOP if swapped and link_type == NULL else _OWN_NUMBERS.get(link_type, link_type)
    try:
        # tcpdump leaves the netmask 0 when it reads a file.
        code = pcapy.compile(number, _LONGEST_FRAME, text, int(len(text) <= _OPTIMIZED), 0).get_bpf()
    except (pcapy.PcapError, ValueError) as error:
        raise UsageError(str(error)) from error
    try:
        return Program(np.array(code, _INSTRUCTION).view(np.uint8))
    except ValueError as error:
        if NOT_IN_FRAME in str(error):
            raise UsageError(f"the filter {NOT_IN_FRAME}: a direction or an interface") from error
        raise UsageError(f"libpcap made a program that must not run: {error}") from error


class Programs:
    """A filter's programs, each compiled when it is first wanted.

    Raises UsageError for a filter that is wrong for all link types.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._known: dict[tuple[int, bool], Program | str] = {}
        common = ETHERNET, RAW, LINUX_COOKED, WIFI
        if self._compiled(ETHERNET, False) == _REJECTS_ALL or not any(self.of(link_type) for link_type in common):
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
            why = self._compiled(ETHERNET, False)
            raise UsageError(f"filter {shown!r}: {why}", hint="see pcap-filter(7); display filters are for -Y")

    def of(self, link_type: int, swapped: bool = False) -> Program | None:
        """The program; None when there is none, and refusal() says why."""
        found = self._compiled(link_type, swapped)
        return found if isinstance(found, Program) else None

    def refusal(self, link_type: int) -> str:
        """Why there is no program for frames of a link type; "" when none of them can match, which is no fault."""
        found = self._compiled(link_type, False)
        return found if isinstance(found, str) and found != _REJECTS_ALL else ""

    def _compiled(self, link_type: int, swapped: bool) -> Program | str:
        key = link_type, swapped
        if key not in self._known:
            try:
                self._known[key] = compile_program(self.text, link_type, swapped=swapped)
            except UsageError as error:
                self._known[key] = str(error)
        return self._known[key]
