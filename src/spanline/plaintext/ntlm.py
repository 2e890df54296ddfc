"""NTLMSSP, the challenge and response of Windows: [MS-NLMP] section 2.2.1. Other protocols carry its messages.

What is told is who logs in and by which version. The challenge and the response are read for their length only.
"""

from __future__ import annotations

from dataclasses import dataclass

from spanline.plaintext.model import Finding, Kind, Outcome, Severity

SIGNATURE = b"NTLMSSP\0"

REMEDY = "Use Kerberos, and refuse NTLM by policy."

_AUTHENTICATE = 3
_LM, _NT, _DOMAIN, _USER = 12, 20, 28, 36
_FLAGS = 60
_UNICODE = 0x1
_V1_RESPONSE = 24
_LONGEST_NAME = 512


@dataclass(frozen=True, slots=True)
class Authenticate:
    r"""Who answers a challenge, and how.

    account  "DOMAIN\user", "user" where no domain is told, "" for an anonymous session
    version  1: the response is of 24 bytes (LM, NTLM, NTLM with session security); 2: longer (NTLMv2)
    """

    account: str
    version: int

    @property
    def scheme(self) -> str:
        return f"NTLMSSP v{self.version}"

    @property
    def severity(self) -> Severity:
        """The key of version 1 can always be found from what was captured, that of version 2 as far as it is weak."""
        return Severity.HIGH if self.version == 1 else Severity.MEDIUM

    def finding(self, time: int, frames: tuple[int, ...], *, outcome: Outcome = Outcome.UNKNOWN) -> Finding:
        return Finding(
            Kind.CHALLENGE, time, frames, self.scheme, self.severity, REMEDY, account=self.account, outcome=outcome
        )


def message_type(message: bytes) -> int:
    """1 NEGOTIATE, 2 CHALLENGE, 3 AUTHENTICATE; 0 for what is no message."""
    return int.from_bytes(message[8:12], "little") if message.startswith(SIGNATURE) and len(message) >= 12 else 0


def find(token: bytes) -> bytes:
    """The message inside a token, which may be wrapped in SPNEGO (RFC 4178); b"" where there is none."""
    start = token.find(SIGNATURE)
    return token[start:] if start >= 0 else b""


def authenticate(message: bytes) -> Authenticate | None:
    """Reads an AUTHENTICATE message ([MS-NLMP] section 2.2.1.3); None for another one, and for an anonymous session."""
    if message_type(message) != _AUTHENTICATE or len(message) < _USER + 8:
        return None
    response = max(_length(message, _NT), 0)
    user = _name(message, _USER)
    if not user and not response:
        return None
    domain = _name(message, _DOMAIN)
    return Authenticate(f"{domain}\\{user}" if domain else user, 2 if response > _V1_RESPONSE else 1)


def _length(message: bytes, at: int) -> int:
    return int.from_bytes(message[at : at + 2], "little")


def _name(message: bytes, at: int) -> str:
    length, start = _length(message, at), int.from_bytes(message[at + 4 : at + 8], "little")
    octets = message[start : start + min(length, _LONGEST_NAME)]
    if _is_unicode(message):
        return octets[: len(octets) & ~1].decode("utf-16-le", "replace")
    return octets.decode("latin-1")


def _is_unicode(message: bytes) -> bool:
    """By the flags, which the messages of old systems end before: their payload begins where flags would be."""
    payload = min(int.from_bytes(message[at + 4 : at + 8], "little") for at in (_LM, _NT, _DOMAIN, _USER))
    if payload < _FLAGS + 4 or len(message) < _FLAGS + 4:
        return False
    return bool(message[_FLAGS] & _UNICODE)
