"""libpcap's filter language (pcap-filter(7)): compiled by libpcap, run by ext/bpf.h over whole batches, or by Linux.

One text is one program for each link type.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
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
# What Linux runs itself; bpf.h has the codes, linux/filter.rst the limit.
_RETURN, _JUMP, _JUMP_IF_EQUAL = 0x06, 0x05, 0x15
_MOST_IN_KERNEL = 4096
_TAG_PROTOCOLS = (0x8100, 0x88A8, 0x9100)
_BY_PLACE = re.compile(r"\b(ether|link)\s*\[")
_SHOWN = 60
_REJECTS_ALL = "expression rejects all packets"


def compile_program(text: str, link_type: int, *, swapped: bool = False) -> Program:
    """`text` for frames of a LINKTYPE_, as `tcpdump -r` compiles it.

    swapped  the capture was written on a machine of the other byte order, which shows in frames of LINKTYPE_NULL

    Raises UsageError with libpcap's message.
    """
    try:
        return Program(_instructions(text, link_type, swapped).view(np.uint8))
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        if NOT_IN_FRAME in str(error):
            raise UsageError(f"the filter {NOT_IN_FRAME}: a direction or an interface") from error
        raise UsageError(f"libpcap made a program that must not run: {error}") from error


def kernel_program(text: str | None, link_type: int, snaplen: int) -> npt.NDArray[np.uint8] | None:
    """What Linux has to run on frames as they come: uint8[8 n], as _bpf.Program takes it.

    It lets in what `text` selects, everything without one, and says that `snaplen` bytes of it are kept. None when the
    kernel cannot do that: it takes VLAN tags out of frames before a program sees them, so that one that looks for tags
    or for bytes by their place in an Ethernet frame would be deceived; and it refuses jumps back (protochain). For all
    other filters a tagged frame is one without a tag, as with `tcpdump -i` and other than with `tcpdump -r`.
    """
    if text is None:
        return np.array([(_RETURN, 0, 0, snaplen)], _INSTRUCTION).view(np.uint8)
    try:
        program = _instructions(text, link_type)
    except UsageError:
        return None
    looks_for_tags = np.isin(program["k"], _TAG_PROTOCOLS) & (program["code"] == _JUMP_IF_EQUAL)
    jumps_back = (program["code"] == _JUMP) & (program["k"] >= len(program))
    if _BY_PLACE.search(text) or looks_for_tags.any() or jumps_back.any() or len(program) > _MOST_IN_KERNEL:
        return None
    program["k"][(program["code"] == _RETURN) & (program["k"] > 0)] = snaplen
    return program.view(np.uint8)


def _instructions(text: str, link_type: int, swapped: bool = False) -> npt.NDArray[np.void]:
    if len(text) > MOST_TEXT:
        raise UsageError(f"{len(text):,} characters are more than the {MOST_TEXT:,} that libpcap is trusted with")
    # The loopback header of OpenBSD is the same in network order.
    number = LOOP if swapped and link_type == NULL else _OWN_NUMBERS.get(link_type, link_type)
    try:
        # tcpdump leaves the netmask 0 when it reads a file.
        code = pcapy.compile(number, _LONGEST_FRAME, text, int(len(text) <= _OPTIMIZED), 0).get_bpf()
    except (pcapy.PcapError, ValueError) as error:
        raise UsageError(str(error)) from error
    return np.array(code, _INSTRUCTION)


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
