"""From what a user names to capture files: a file, a pattern, a folder, standard input, a capture over TCP."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from spanline.errors import CaptureError
from spanline.sources.streams import is_regular_file, is_remote


def expand(names: Iterable[str | os.PathLike[str]]) -> list[tuple[str, bool]]:
    """(path, found in a folder) of every file that `names` mean, each once.

    A folder means all files below it that are not hidden; those that turn out not to be captures are passed over.
    Raises CaptureError for a pattern or folder without any file, UsageError for a wrong name of a capture over TCP;
    whether a named file exists is seen on opening it.
    """
    found: dict[str, tuple[str, bool]] = {}
    for name in [os.fspath(name) for name in names]:
        if is_remote(name):
            from spanline.sources.pcap_over_ip import check_remote

            check_remote(name)
            matches = [(name, False)]
        elif name == "-" or not (Path(name).is_dir() or (glob.has_magic(name) and not Path(name).exists())):
            matches = [(name, False)]
        elif Path(name).is_dir():
            matches = [(str(path), True) for path in _files_below(Path(name))]
        else:
            matches = [(path, False) for path in sorted(glob.glob(name, recursive=True)) if Path(path).is_file()]
        if not matches:
            kind = "folder" if Path(name).is_dir() else "pattern"
            raise CaptureError(f"{name}: no captures in this {kind}", hint="name a capture file, a folder or a pattern")
        for path, listed in matches:
            identity = os.path.realpath(path) if is_regular_file(path) else path
            found.setdefault(identity, (path, listed))
    return list(found.values())


def _files_below(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
