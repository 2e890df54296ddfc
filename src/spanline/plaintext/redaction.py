"""What is shown instead of a secret: how long it is, and a number by which the same secret is known again.

The number is the beginning of an HMAC-SHA-256 (RFC 2104) of the secret alone, under a key that only this installation
has: one password of two accounts shows, but without the key nobody can try words.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Protocol

from spanline.errors import UsageError
from spanline.plaintext.model import Secret
from spanline.private import open_private, state_folder

KEY_BYTES = 32
DIGITS = 12
_KEY_FILE = "redaction.key"


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
    """The Redactor with this installation's key, which is made when there is none, and a warning, or "".

    Where the user has no folder that can be written to, the key is for this run only, which the warning says. Raises
    UsageError for a key that somebody else may know.
    """
    try:
        return Redactor(_installation_key(state_folder() / _KEY_FILE)), ""
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        why = f"{where}{error.strerror or error}"
        warning = f"hmacs of secrets cannot be compared with those of other runs: no place for their key ({why})"
        return Redactor(secrets.token_bytes(KEY_BYTES)), warning


def _installation_key(path: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return _read_key(path)
    # Whole before it has its name: another process that begins at the same time finds a whole key, or none.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = open_private(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        unfinished.unlink()
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    with open(open_private(path, os.O_RDONLY), "rb") as file:
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise UsageError(f"{path} is no key of {KEY_BYTES} bytes", hint="remove it, and a new one is made")
    return key


def forbid_core_dumps() -> None:
    """From now on a crash of this process leaves nothing of its memory behind, and no debugger may look into it."""
    import ctypes
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit does not hold for a core that the kernel gives to a program.
    set_dumpable = 4
    ctypes.CDLL(None).prctl(set_dumpable, 0, 0, 0, 0)
