"""What a process that captures gives up once its sockets are open.

A packet socket needs CAP_NET_RAW when it is made and never again: ring, filter, promiscuous mode and binding it to
another interface need nothing. So nothing is kept: no capability, no way to get one by running another program, no
other user's rights, and no files but those that are needed. A decoder that a frame led astray finds nothing to take.

Capabilities, no_new_privs and Landlock are Linux'. Elsewhere on Unix only the user is changed, and on Windows nothing.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from spanline import landlock
from spanline.errors import OutputError, UsageError
from spanline.keeping import cache_folder, private_folder, state_folder

_SET_NO_NEW_PRIVS, _CAPBSET_DROP, _CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 38, 24, 47, 4
"""Of prctl(2)."""

_CAPABILITIES_VERSION_3 = 0x20080522
_CAPABILITIES = 64
"""More than there are: what the kernel does not know, it refuses."""
_THREADS = Path("/proc/self/task")
_NOTHING = "0" * 16

# Where Python, the C library and our own look: for modules and libraries, names of users and hosts, the time zone, what
# interfaces there are, random numbers. Of /etc by name: the superuser's files are in there, too.
_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/sys", "/dev/random", "/dev/urandom")
_SETTINGS = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "locale.alias", "nsswitch.conf", "passwd"),
    *("group", "hosts", "host.conf", "resolv.conf", "gai.conf", "services", "protocols", "ethers", "os-release"),
    *("terminfo", "python3", "alternatives"),
)
_TERMINAL = (Path("/dev/null"), Path("/dev/tty"))


def refuse_root(user: str | None, allow_root: bool) -> None:
    """Who captures as root says so, or says who shall go on. To be called before anything is opened.

    Raises UsageError; also for a `user` that there is not, or that only root could become.
    """
    if not hasattr(os, "geteuid"):
        if user is not None:
            raise UsageError("--user is for Unix", hint="start spanline as that user")
        return
    if user is not None:
        _identity(user)
        if os.geteuid() != 0:
            raise UsageError("--user needs root", hint=f"sudo spanline … --user {user}")
    elif os.geteuid() == 0 and not allow_root:
        raise UsageError(
            "capturing as root",
            hint="--user NAME goes on as NAME once the socket is open, --allow-root stays root without capabilities",
        )


def drop(user: str | None = None, *, reads: Iterable[Path] = (), writes: Iterable[Path] = ()) -> str:
    """Gives everything up, in every thread, for good. To be called when all sockets are open.

    user    whose rights are kept, of root's; its own otherwise
    reads   files and folders that will be read besides Python's, the system's, and what is open
    writes  folders in which files will be made, read, renamed and removed; made where they are not there yet

    Gives what this system cannot do, as a clause for a person; empty when it could do all. Raises UsageError for a user
    that there is not, OutputError when a folder of `writes` cannot be made, OSError when something is not given up.
    """
    if not hasattr(os, "geteuid"):
        return "Windows has nothing that could be given up"
    linux = sys.platform == "linux"
    if linux:
        _in_every_thread(_bounding_calls())
    if user is not None:
        _become(user)
    folders = [*map(_made, writes), *_own_folders()]
    if not linux:
        return f"{sys.platform} has no capabilities that could be given up"
    confined = landlock.version() > 0
    rules = landlock.rules(_readable(reads), [*folders, *_TERMINAL]) if confined else None
    try:
        _give_up(rules)
    finally:
        if rules is not None:
            os.close(rules)
    _make_sure()
    return "" if confined else "this kernel has no Landlock: files are protected by their permissions alone"


def _identity(user: str) -> tuple[int, int, str]:
    """uid, gid and home. Raises UsageError."""
    import pwd

    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise UsageError(f"--user {user}: there is no such user", hint="useradd --system makes one") from None
    if found.pw_uid == 0:
        raise UsageError(f"--user {user}: that is root", hint="name another user, or give --allow-root")
    return found.pw_uid, found.pw_gid, found.pw_dir


def _become(user: str) -> None:
    """libc changes these in every thread. Raises UsageError, also when `user` could not import what is not yet."""
    uid, gid, home = _identity(user)
    python = [path for path in _python() if path.exists()]
    try:
        os.initgroups(user, gid)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except PermissionError as error:
        raise UsageError(f"--user {user}: {error.strerror}", hint="only root can become another user") from error
    os.environ.update(HOME=home, USER=user, LOGNAME=user)
    for path in python:
        if not os.access(path, os.R_OK):
            hint = "install it where everybody can read it, or give --allow-root"
            raise UsageError(f"--user {user}: cannot read {path}, where Python looks for modules", hint=hint)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:  # a device or a pipe, which is written to
        pass
    except OSError as error:
        hint = "make it, and let the user who captures write there"
        raise OutputError(f"{folder}: {error.strerror or error}", hint=hint) from error
    return folder


def _own_folders() -> list[Path]:
    """Where spanline keeps its key, its log and what takes long to make, as far as there is such a place."""
    found = []
    for place in (state_folder, cache_folder):
        try:
            found.append(private_folder(place()))
        except OSError:
            continue
    return found


def _python() -> list[Path]:
    """Where Python and its modules are, ours among them."""
    found = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, *filter(None, sys.path)}
    return [*map(Path, sorted(found)), Path(__file__).resolve().parent]


def _readable(more: Iterable[Path]) -> list[Path]:
    return [*_python(), *map(Path, _SYSTEM), *(Path("/etc", name) for name in _SETTINGS), *more]


def _bounding_calls() -> list[Sequence[int]]:
    """Programs run by root would get the capabilities of this set. Only who has CAP_SETPCAP can make it smaller; for
    others no_new_privs has to do."""
    from spanline import _threads

    return [(_threads.PRCTL, _CAPBSET_DROP, n) for n in range(_CAPABILITIES)]


def _give_up(rules: int | None) -> None:
    """no_new_privs, the files outside Landlock's rules, where there are some, and all capabilities."""
    from spanline import _threads

    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITIES_VERSION_3, 0))
    nothing = ctypes.create_string_buffer(24)
    calls: list[Sequence[int]] = [
        (_threads.PRCTL, _SET_NO_NEW_PRIVS, 1),
        *([(landlock.RESTRICT_SELF, rules)] if rules is not None else []),
        (_threads.PRCTL, _CAP_AMBIENT, _AMBIENT_CLEAR_ALL),
        (_threads.CAPSET, ctypes.addressof(header), ctypes.addressof(nothing)),
    ]
    for error in filter(None, _in_every_thread(calls)):
        raise OSError(error, f"privileges are not given up: {os.strerror(error)}")


def _in_every_thread(calls: Sequence[Sequence[int]]) -> list[int]:
    """Does system calls in each thread there is, and in those that begin meanwhile. The errno of each that failed."""
    import numpy as np

    from spanline import _threads

    table = np.zeros((len(calls), 6), np.int64)
    for n, call in enumerate(calls):
        table[n, : len(call)] = call
    errors = np.zeros(len(calls), np.int32)
    done: set[int] = set()
    # A thread that one begins which has done it, has done it too: what begins late is soon no more.
    while new := {int(thread.name) for thread in _THREADS.iterdir()} - done:
        failed = np.zeros(len(calls), np.int32)
        _threads.call(table, np.array(sorted(new), np.int32), failed)
        errors = np.maximum(errors, failed)
        done |= new
    return errors.tolist()


def _make_sure() -> None:
    """Raises OSError when a thread kept something: then it would not be true that nothing is left."""
    for thread in _THREADS.iterdir():
        try:
            lines = (thread / "status").read_text().splitlines()
        except OSError:  # it has ended
            continue
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        kept = [name for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if status[name] != _NOTHING]
        if kept or status["NoNewPrivs"] != "1":
            raise OSError(f"privileges are not given up: thread {thread.name} ({status['Name']}) kept {' '.join(kept)}")
