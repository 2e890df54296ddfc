"""Files that nobody but the user may see: keys, logs of what was revealed.

They stand in the user's state folder: `spanline` in $XDG_STATE_HOME, else in ~/.local/state (XDG Base Directory
Specification 0.8). The folder has mode 0700, files in it 0600.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from spanline.errors import UsageError


def state_folder() -> Path:
    """The folder, made where it is missing. Raises OSError when it cannot be, UsageError when others may change it."""
    folder = _state_home() / "spanline"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    _check(folder.lstat(), folder, stat.S_ISDIR, others_may=0o055)
    return folder


def _state_home() -> Path:
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    if named.is_absolute():
        return named
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OSError(str(error)) from error


def open_private(path: Path, flags: int) -> int:
    """A file descriptor of a file with mode 0600; `flags` as of os.open().

    Raises OSError, and UsageError for a file of somebody else, one that others may read, a link or a device.
    """
    try:
        # Without O_NONBLOCK a FIFO would wait for its other end.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError:
        if path.is_symlink():
            raise _refused(path, "is a link") from None
        raise
    try:
        _check(os.fstat(descriptor), path, stat.S_ISREG, others_may=0)
    except UsageError:
        os.close(descriptor)
        raise
    return descriptor


def _check(found: os.stat_result, path: Path, is_right: Callable[[int], bool], others_may: int) -> None:
    if not is_right(found.st_mode):
        raise _refused(path, "is neither a folder nor a file of spanline's")
    if found.st_uid != os.geteuid():
        raise _refused(path, f"belongs to user {found.st_uid}, and not to you")
    if stat.S_IMODE(found.st_mode) & 0o077 & ~others_may:
        raise _refused(path, f"can be {'changed' if others_may else 'read'} by others")


def _refused(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} {why}", hint="remove it, or let XDG_STATE_HOME name another folder")
