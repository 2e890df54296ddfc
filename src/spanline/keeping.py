"""What takes long to make is kept in the user's cache folder, what nobody else may know in the state folder, and what
the user made in the configuration folder.

Of what was kept, only what this installation wrote is used again: a key that nobody else can read seals it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from spanline.system import BINARY, NO_FOLLOW, NO_WAIT, user_number

_KEY_BYTES = 32
_SEAL_BYTES = 32
_LONGEST_UNUSED = 30 * 86_400
"""Seconds after which what was kept is removed when something else is."""


class NotPrivate(PermissionError):
    """A file or folder that shall be this user's alone is not."""


def cache_folder() -> Path:
    """Where spanline keeps what it can make again. Definition: freedesktop.org's Base Directory Specification."""
    return _folder("XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """Where it keeps what it cannot make again: its key and its log. The same definition."""
    return _folder("XDG_STATE_HOME", ".local/state")


def config_folder() -> Path:
    """Where it keeps what the user wants to have again. The same definition."""
    return _folder("XDG_CONFIG_HOME", ".config")


def _folder(variable: str, default: str) -> Path:
    """Raises OSError when there is no home."""
    given = Path(os.environ.get(variable, ""))
    if not given.is_absolute():
        try:
            given = Path.home() / default
        except RuntimeError as error:
            raise FileNotFoundError(f"neither {variable} nor HOME says where") from error
    return given / "spanline"


def private_folder(folder: Path) -> Path:
    """The folder, made if there is none. Raises OSError when it cannot be, NotPrivate when it is another user's or not
    only this user can write there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != user_number() or found.st_mode & _of_others(stat.S_IWGRP | stat.S_IWOTH):
        raise NotPrivate(f"{folder}: somebody else can write there")
    return folder


def installation_key(purpose: str) -> bytes:
    """32 bytes that only this user's spanline knows, others for each purpose; made the first time.

    Raises OSError when there is no place for it, NotPrivate when others can read it.
    """
    path = private_folder(state_folder()) / "key"
    try:
        key = _read_private(path)
    except FileNotFoundError:
        _write_private(path, os.urandom(_KEY_BYTES))
        key = _read_private(path)  # of several that make one at the same time, the last one's is everybody's
    if len(key) != _KEY_BYTES:
        raise NotPrivate(f"{path}: no key of {_KEY_BYTES} bytes; remove the file")
    return hashlib.blake2b(purpose.encode(), key=key, digest_size=32).digest()


def _read_private(path: Path) -> bytes:
    with open(os.open(path, os.O_RDONLY | NO_FOLLOW | BINARY), "rb") as file:
        _require_private(file.fileno(), path)
        return file.read()


def _of_others(mode: int) -> int:
    """Bits of a file's mode that say what others may; Windows makes them up."""
    return mode if os.name == "posix" else 0


def _require_private(descriptor: int, path: Path) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != user_number() or found.st_mode & _of_others(0o077):
        raise NotPrivate(f"{path}: not only this user can read it")


def open_private_log(path: Path) -> int:
    """The descriptor of a file that only this user can read, made if there is none; what is written goes to its end.

    Raises OSError when that cannot be, NotPrivate when others can read it.
    """
    # Without NO_WAIT, a FIFO in its place would wait for a reader.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_FOLLOW | NO_WAIT | BINARY
    descriptor = os.open(path, flags, 0o600)
    try:
        _require_private(descriptor, path)
    except NotPrivate:
        os.close(descriptor)
        raise
    return descriptor


def _write_private(path: Path, content: bytes) -> None:
    """All of it or nothing: written under another name first."""
    new = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o600), "wb") as file:
            file.write(content)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def kept(name: str, source: bytes, make: Callable[[], bytes]) -> bytes:
    """What `make` gives for `source`, kept under `name` and what identifies the source.

    Where nothing can be kept, or what was kept is damaged or somebody else's, it is made again.
    """
    identity = hashlib.blake2b(source, digest_size=16).digest()
    full_name = f"{name}-{identity.hex()}"
    content = remembered(full_name)
    if content is None:
        content = make()
        remember(full_name, content)
    return content


def remembered(name: str) -> bytes | None:
    """What remember() was last given for `name`; None when that is nothing, damaged or somebody else's."""
    try:
        key = installation_key("cache")
        content = _read_private(cache_folder() / name)
    except OSError:
        return None
    is_ours = hmac.compare_digest(content[:_SEAL_BYTES], _seal(key, name, content[_SEAL_BYTES:]))
    return content[_SEAL_BYTES:] if is_ours else None


def remember(name: str, content: bytes) -> None:
    """Keeps `content` in the cache folder, until it has not been used for long; if nothing can be kept there, not."""
    with contextlib.suppress(OSError):
        key = installation_key("cache")
        folder = private_folder(cache_folder())
        _remove_unused(folder)
        _write_private(folder / name, _seal(key, name, content) + content)


def _seal(key: bytes, name: str, content: bytes) -> bytes:
    seal = hashlib.blake2b(key=key, digest_size=_SEAL_BYTES)
    seal.update(len(name).to_bytes(8) + name.encode())
    seal.update(content)
    return seal.digest()


def _remove_unused(folder: Path) -> None:
    oldest = time.time() - _LONGEST_UNUSED
    for file in folder.iterdir():
        with contextlib.suppress(OSError):
            if file.stat().st_mtime < oldest:
                file.unlink()


def of_folders(*folders: Path) -> bytes | None:
    """What kept() takes as the source of what the Python files in `folders` make; None when they are in an archive."""
    try:
        files = sorted(
            (str(file.relative_to(folder.parent)), found.st_size, found.st_mtime_ns)
            for folder in folders
            for file in folder.iterdir()
            if file.suffix == ".py" and (found := file.stat())
        )
    except OSError:
        return None
    return repr(files).encode()
