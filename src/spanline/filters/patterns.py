"""Regular expressions of `matches`: PCRE2's in tshark, RE2's here.

RE2 (which Arrow has) takes time proportional to the data, whatever the expression: nobody can stop an analysis with a
packet. It has no lookaround, no backreferences and no possessive repetition; those are refused. Expressions are matched
against bytes, and as in tshark without regard to the case of ASCII letters, `.` is not a line feed, and `$` also stands
before a line feed at the very end.
"""

from __future__ import annotations

from spanline.filters.literals import Unfit

_LOOKS = (b"(?=", b"(?!", b"(?<=", b"(?<!")


def pattern(octets: bytes) -> bytes:
    """The expression in RE2's syntax. Raises Unfit when there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc  # takes long to import

    made = _translate(octets)
    try:
        pc.match_substring_regex(pa.array([b""], pa.large_binary()), made, ignore_case=True)
    except pa.ArrowInvalid as error:
        why = str(error).partition(": ")[2].partition("\n")[0]
        if any(look in octets for look in _LOOKS):
            why = "(?=, (?!, (?<= and (?<! look around, which cannot be answered in bounded time"
        raise Unfit(f"the regular expression is not understood: {why}", "the syntax is RE2's") from None
    return made


def _translate(octets: bytes) -> bytes:
    parts: list[bytes] = []
    at, depth = 0, 0
    while at < len(octets):
        one = octets[at : at + 1]
        if one == b"\\" and at + 1 < len(octets):
            two = octets[at : at + 2]
            parts.append({b"\\Z": rb"\n?\z"}.get(two, two))
            at += 2
            continue
        if one == b"[" and not depth:
            depth = 1
            # A bracket first in a class is a member of it.
            first = at + (2 if octets[at + 1 : at + 2] == b"^" else 1)
            if octets[first : first + 1] == b"]":
                parts.append(octets[at:first] + rb"\]")
                at = first + 1
                continue
        elif one == b"[" and octets[at + 1 : at + 2] == b":":
            end = octets.find(b":]", at)
            if end > 0:
                parts.append(octets[at : end + 2])
                at = end + 2
                continue
        elif one == b"]":
            depth = 0
        if one == b"$" and not depth and b"(?m" not in octets:
            parts.append(rb"(?:\n?\z)")
        elif one >= b"\x80":
            parts.append(rb"\x%02x" % one[0] if depth else rb"(?-i:\x%02x)" % one[0])
        elif one == b"\0":
            parts.append(rb"\x00")
        else:
            parts.append(one)
        at += 1
    return b"".join(parts)
