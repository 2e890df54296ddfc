"""Get the peers: Debian packages where this is root, packages of PyPI in venvs of their own below build/peers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from peers.captures import FOLDER

VENVS = FOLDER.parent / "peers"
PROGRAMS = {"tcpdump": "tcpdump", "tshark": "tshark", "softflowd": "softflowd", "nfpcapd": "nfdump"}
"""Program: the Debian package that has it."""


def install_programs() -> list[str]:
    """Installs what is missing and can be; returns what is missing still."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [PROGRAMS[program] for program in missing]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(
            ["apt-get", "install", "-qq", "--no-install-recommends", *packages], env=environment, check=False
        )
    return [program for program in missing if not shutil.which(program)]


def python_with(package: str) -> Path:
    """The interpreter of a venv that has `package`; where pip fails, one that does not exist."""
    folder = VENVS / package
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing {package}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        if subprocess.run([python, "-m", "pip", "install", "--quiet", package]).returncode:
            shutil.rmtree(folder)
    return python


def _told(command: list[str | Path], pattern: str = r"(\S+)") -> str:
    """The first match in what a command prints."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError:
        return "not installed"
    match = re.search(pattern, done.stdout)
    return match[1] if match else "unknown"


def _installed(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return _told([python, "-c", code])


def versions() -> dict[str, str]:
    """What was compared, by name."""
    python = Path(sys.executable)
    commit = _told(["git", "-C", Path(__file__).parent, "describe", "--always", "--dirty= with changes"], "(.+)")
    return {
        "spanline": f"{_installed(python, 'spanline')} ({commit})",
        "numpy": _installed(python, "numpy"),
        "pyarrow": _installed(python, "pyarrow"),
        "tcpdump": _told(["tcpdump", "--version"], r"tcpdump version (\S+)"),
        "libpcap": _told(["tcpdump", "--version"], r"libpcap version (\S+)"),
        "softflowd": _told(["softflowd", "-h"], r"softflowd version (\d[\d.]*\d)"),
        "nfpcapd": _told(["nfpcapd", "-V"], r"Version: \D*(\S+)"),
        "tshark": _told(["tshark", "--version"], r"TShark \(Wireshark\) (\d[\d.]*\d)"),
        "dpkt": _installed(python_with("dpkt"), "dpkt"),
        "nfstream": _installed(python_with("nfstream"), "nfstream"),
    }
