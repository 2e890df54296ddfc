"""NTLMSSP messages as [MS-NLMP] section 2.2.1 draws them."""

from __future__ import annotations

SIGNATURE = b"NTLMSSP\0"

NEGOTIATE = SIGNATURE + (1).to_bytes(4, "little") + bytes(24)
"""Section 2.2.1.1."""


def authenticate(response: int, *, domain: str = "Domain", user: str = "User", unicode: bool = True) -> bytes:
    """Section 2.2.1.3: an answer of so many bytes to a challenge, all zeros."""
    names = [name.encode("utf-16-le" if unicode else "latin-1") for name in (domain, user, "COMPUTER")]
    parts, at, fields = [bytes(24), bytes(response), *names, b""], 72, b""
    for part in parts:
        fields += len(part).to_bytes(2, "little") * 2 + at.to_bytes(4, "little")
        at += len(part)
    return SIGNATURE + (3).to_bytes(4, "little") + fields + bytes([unicode]) + bytes(3 + 8) + b"".join(parts)
