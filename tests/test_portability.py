"""What is built and imported on systems that are not this one. Nothing of it runs there: no such system is at hand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import spawn, whole_capture

TOP = Path(__file__).resolve().parent.parent

# setup.py as another system reads it.
BUILT_THERE = """
import json, runpy, sys
import Cython.Build, setuptools
Cython.Build.cythonize = lambda extensions, **_: extensions
setuptools.setup = lambda ext_modules, **_: print(json.dumps(sorted(one.name for one in ext_modules)))
sys.platform = sys.argv[1]
runpy.run_path("setup.py")
"""

# Python without what only Unix has: its modules, what it adds to others, and our compiled modules for Linux.
ELSEWHERE = """
import asyncio, json, multiprocessing, os, select, shutil, signal, socket, subprocess, sys, sysconfig, tempfile
import click, numpy, pyarrow.parquet, rich.console
sysconfig.get_config_vars()
for name in "fcntl grp pwd resource termios tty pty syslog spanline._ring spanline._threads".split():
    sys.modules[name] = None
for module, names in (
    (os, "geteuid getuid getgid fork eventfd initgroups setresuid setresgid"),
    (os, "O_NOFOLLOW O_CLOEXEC O_NONBLOCK O_DIRECTORY"),
    (signal, "SIGHUP SIGPROF SIGXCPU SIGUSR1 SIGALRM setitimer pthread_kill"),
    (select, "poll epoll"),
    (socket, "AF_PACKET AF_UNIX AF_NETLINK SOCK_CLOEXEC SOCK_NONBLOCK"),
):
    for name in names.split():
        delattr(module, name)
sys.platform = "win32"
"""

IMPORTS = """
import importlib, pkgutil, spanline
failed = {}
for module in pkgutil.walk_packages(spanline.__path__, "spanline."):
    try:
        importlib.import_module(module.name)
    except Exception as error:
        failed[module.name] = f"{type(error).__name__}: {error}"
print(json.dumps(failed))
"""

COMMAND = """
from spanline.cli import main
main()
"""


def extensions() -> set[str]:
    return {f"spanline._{path.stem}" for path in TOP.glob("ext/*.pyx")}


@pytest.mark.parametrize(
    ("platform", "left_out"),
    [
        ("linux", set()),
        ("win32", {"spanline._ring", "spanline._threads"}),
        ("darwin", {"spanline._ring", "spanline._threads"}),
        ("freebsd14", {"spanline._ring", "spanline._threads"}),
    ],
)
def test_what_is_built(platform: str, left_out: set[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", BUILT_THERE, platform], cwd=TOP, capture_output=True, text=True, check=True, timeout=60
    )
    assert set(json.loads(ran.stdout)) == extensions() - left_out


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is kept for the user there is compiled there, and once."""
    return tmp_path_factory.mktemp("home")


def elsewhere(program: str, *arguments: str | Path, home: Path) -> str:
    """What a program prints there."""
    ran = subprocess.run(
        [sys.executable, "-c", ELSEWHERE + program, *arguments],
        env={**os.environ, "XDG_STATE_HOME": str(home / "state"), "XDG_CACHE_HOME": str(home / "cache")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_what_is_imported(home: Path) -> None:
    """Everything but the ring, and the lab's user at a terminal, whom nobody imports there."""
    failed = json.loads(elsewhere(IMPORTS, home=home))
    ours = {"spanline._ring", "spanline._threads", "spanline.sources.device", "spanline.sources.ring"}
    ours |= {f"spanline.lab.{name}" for name in ("login", "terminal", "visits")}
    assert set(failed) == ours, failed


@pytest.mark.parametrize("command", ["flows", "rtt", "packets", "plaintext", "info"])
def test_commands_do_without(command: str, tmp_path: Path, home: Path) -> None:
    """And say the same as here."""
    capture = whole_capture(tmp_path)
    arguments = (command, capture, "-q", "--format", "json")
    assert elsewhere(COMMAND, *arguments, home=home) == spawn(*arguments).stdout.decode()


def test_files_are_written(tmp_path: Path, home: Path) -> None:
    elsewhere(COMMAND, "crunch", whole_capture(tmp_path), "-o", tmp_path / "flows.csv", home=home)
    spawn("crunch", whole_capture(tmp_path), "-o", tmp_path / "here.csv")
    assert (tmp_path / "flows.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


def test_headers_that_other_systems_compile() -> None:
    """They include what every C compiler has, unless they are Linux' and empty elsewhere."""
    everywhere = {"stddef.h", "stdint.h", "string.h"}
    others = {
        path.name: found
        for path in TOP.glob("ext/*.h")
        if (found := set(re.findall(r"#include <(.+)>", path.read_text())) - everywhere)
        and "#ifdef __linux__" not in path.read_text()
    }
    assert others == {"hash.h": {"intrin.h"}, "local_time.h": {"time.h"}}
