"""Landlock: a process confines itself to some folders. Linux 5.13 and later; definition: landlock(7)."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, which libc has no functions for; the same on every machine but Alpha."""

_VERSION = 1
_PATH_BENEATH = 1

# Rights, and in which version of the interface they came.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << n for n in range(6))
_MAKE_DIR, _MAKE_REG = 1 << 7, 1 << 8
_FIRST = (1 << 13) - 1
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_WRITE = _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _REMOVE_FILE | _REMOVE_DIR | _MAKE_DIR | _MAKE_REG | _REFER


def version() -> int:
    """Of the kernel's interface; 0 where there is none, or it is switched off."""
    try:
        return _system_call(CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def rules(reads: Iterable[Path], writes: Iterable[Path]) -> int:
    """The descriptor of rules for RESTRICT_SELF: only what is in `reads` can be read and executed, and only what is in
    `writes` can be read, written, made and removed. What does not exist is passed over; what is open stays open.

    Raises OSError.
    """
    known = version()
    handled = _FIRST | (_REFER if known >= 2 else 0) | (_TRUNCATE if known >= 3 else 0)
    attributes = struct.pack("=Q", handled)
    descriptor = _system_call(CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for paths, rights in ((reads, _READ), (writes, _WRITE)):
            for path in paths:
                _allow(descriptor, path, rights & handled)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        of_this = rights if path.is_dir() else rights & _OF_FILES
        _system_call(ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", of_this, place), 0)
    except OSError as error:
        if error.errno != errno.EBADFD:  # a pipe without a name, /dev/stdout say, about which the kernel takes no rules
            raise
    finally:
        os.close(place)


def _system_call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    wide = (ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)
    result: int = libc.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
