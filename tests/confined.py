"""A process that gives everything up, and then says what it still can do: `python -m tests.confined FOLDER [USER]`.

It writes JSON: what drop() gave, what became of each attempt ("" or the name of an error), and what the kernel says of
each of its threads.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow.compute  # whose allocator has a thread that blocks signals

import spanline
from spanline import landlock, privileges
from tests.own_network import NEAR


def main(folder: Path, user: str | None, has_landlock: bool) -> None:
    waiting = threading.Event()
    threading.Thread(target=waiting.wait).start()
    kept = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    if not has_landlock:
        landlock.version = lambda: 0
    missing = privileges.drop(user, writes=[folder / "out"])
    threading.Thread(target=waiting.wait).start()  # begins with what its parent has
    attempts: dict[str, Callable[[], object]] = {
        "another packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
        "the one that is open": lambda: kept.bind((NEAR, 0)),
        "write": lambda: write(folder / "out"),
        "write elsewhere": lambda: (folder / "elsewhere").write_text("x"),
        "write over": lambda: (folder / "there").write_text("x"),
        "cut": lambda: os.truncate(folder / "there", 0),
        "remove elsewhere": lambda: (folder / "there").unlink(),
        "read elsewhere": lambda: (folder / "there").read_text(),
        "read secrets": lambda: Path("/etc/shadow").read_text(),
        "import everything": import_everything,
        "become root": lambda: os.setuid(0),
        "run a program": lambda: subprocess.run([sys.executable, "-c", "import numpy"], check=True),
        "compute": lambda: pyarrow.compute.sum(pyarrow.array(range(1000))),
    }
    became = {what: outcome(attempt) for what, attempt in attempts.items()}
    threads = [status(thread) for thread in Path("/proc/self/task").iterdir()]
    waiting.set()
    print(json.dumps({"missing": missing, "became": became, "threads": threads}))


def write(folder: Path) -> None:
    new = folder / "new.part"
    new.write_text("whole")
    new.rename(folder / "new")
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    (folder / "new").unlink()
    (folder / "new").write_text("again")


def import_everything() -> None:
    for module in pkgutil.walk_packages(spanline.__path__, "spanline."):
        importlib.import_module(module.name)


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except Exception as error:
        return type(error).__name__
    return ""


def status(thread: Path) -> dict[str, str]:
    lines = (thread / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3] == "landlock")
