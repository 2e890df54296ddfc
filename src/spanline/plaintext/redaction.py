"""What is shown instead of a secret: how long it is, and a number by which the same secret is known again.

The number is the beginning of an HMAC-SHA-256 (RFC 2104) of the secret alone, under a key that only this installation
has: one password of two accounts shows, but without the key nobody can try words.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from typing import Protocol

from spanline.errors import UsageError
from spanline.keeping import NotPrivate, installation_key
from spanline.plaintext.model import Secret

KEY_BYTES = 32
DIGITS = 12


class Shows(Protocol):
    """Secrets as they may be shown."""

    def text(self, secret: Secret) -> str: ...


class Redactor:
    """Shows "8 characters, hmac 3f9a12cd04b1" under a key of KEY_BYTES bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def text(self, secret: Secret) -> str:
        return f"{_length(secret)}, hmac {self.fingerprint(secret)}"

    def fingerprint(self, secret: Secret) -> str:
        """DIGITS hexadecimal digits."""
        return hmac.new(self._key, secret.reveal(), hashlib.sha256).hexdigest()[:DIGITS]


class Revealer:
    """Shows secrets, and counts them in `revealed`."""

    def __init__(self) -> None:
        self.revealed = 0

    def text(self, secret: Secret) -> str:
        self.revealed += 1
        return readable(secret.reveal())


def readable(octets: bytes) -> str:
    """UTF-8 as it is; other bytes as backslash, x and two digits."""
    return octets.decode("utf-8", "backslashreplace")


def _length(secret: Secret) -> str:
    """In characters where they are known, as whoever typed it would count."""
    try:
        count, unit = len(secret.reveal().decode()), "character"
    except UnicodeDecodeError:
        count, unit = len(secret), "byte"
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def installation_redactor() -> tuple[Redactor, str]:
    """The Redactor with this installation's key, and a warning, or "".

    Where the user has no folder that can be written to, the key is for this run only, which the warning says. Raises
    UsageError for a key that somebody else may know.
    """
    try:
        return Redactor(installation_key("redaction")), ""
    except NotPrivate as error:
        raise UsageError(str(error), hint="or let XDG_STATE_HOME name another folder") from error
    except OSError as error:
        warning = f"hmacs of secrets are of this run only, as there is no place for their key: {error}"
        return Redactor(os.urandom(KEY_BYTES)), warning


def forbid_core_dumps() -> None:
    """From now on a crash of this process leaves nothing of its memory behind, and no debugger may look into it."""
    try:
        import resource
    except ImportError:  # Windows, where only the administrator can ask for them
        return
    import ctypes

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # The limit does not hold for a core that the kernel gives to a program.
        set_dumpable = 4
        ctypes.CDLL(None).prctl(set_dumpable, 0, 0, 0, 0)
