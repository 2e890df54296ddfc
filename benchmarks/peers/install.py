"""Get the peers: Debian packages where this is root, packages of PyPI in venvs of their own below build/peers.

The two small C and C++ programs of this folder are compiled there too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from peers.captures import BENCHMARKS, FOLDER

HERE = Path(__file__).resolve().parent
BUILT = FOLDER.parent / "peers"
PROGRAMS = {
    "tcpdump": "tcpdump",
    "tshark": "tshark",
    "capinfos": "tshark",
    "softflowd": "softflowd",
    "nfpcapd": "nfdump",
    "argus": "argus-server",
    "tcptrace": "tcptrace",
    "ndpiReader": "libndpi-bin",
}
"""Program: the Debian package that has it."""

LIBRARIES = {"/usr/include/tins/tins.h": "libtins-dev", "/usr/include/pcap/pcap.h": "libpcap-dev"}
"""Header: the Debian package that has it, for the program that is compiled."""


def _missing() -> list[str]:
    packages = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    packages += [package for header, package in LIBRARIES.items() if not Path(header).exists()]
    return sorted(set(packages))


def install_programs() -> list[str]:
    """Installs what is missing and can be; returns the Debian packages that are missing still."""
    if _missing() and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=subprocess.DEVNULL)
        # One by one: a package that a newer Debian lacks must not keep the others away.
        for package in _missing():
            print(f"installing {package}", flush=True)
            subprocess.run(
                ["apt-get", "install", "-qq", "--no-install-recommends", package],
                env=environment,
                check=False,
                stdout=subprocess.DEVNULL,
            )
    return _missing()


def python_with(package: str) -> Path:
    """The interpreter of a venv that has `package`; where pip fails, one that does not exist."""
    folder = BUILT / package
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing {package}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        if subprocess.run([python, "-m", "pip", "install", "--quiet", package]).returncode:
            shutil.rmtree(folder)
    return python


def compiled(source: Path, *libraries: str) -> Path:
    """The program made of one source file; where the compiler fails, one that does not exist."""
    program = BUILT / source.stem
    compiler = {".c": "gcc", ".cpp": "g++"}[source.suffix]
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILT.mkdir(parents=True, exist_ok=True)
        program.unlink(missing_ok=True)
        options = ["-O3", "-Wall", "-Wextra", *(f"-l{library}" for library in libraries)]
        if not shutil.which(compiler) or subprocess.run([compiler, source, "-o", program, *options]).returncode:
            print(f"{source.name} was not compiled")
    return program


def libtins_program() -> Path:
    return compiled(HERE / "parse_libtins.cpp", "tins", "pcap")


def limits_program() -> Path:
    return compiled(BENCHMARKS / "limits.c")


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


def _packaged(package: str) -> str:
    """The version of a Debian package, for what does not tell its own."""
    return _told(["dpkg-query", "--show", "--showformat=${Version}", package], r"^(?:\d+:)?(\d[^-+~]*)")


def versions() -> dict[str, str]:
    """What was compared, by name."""
    python = Path(sys.executable)
    commit = _told(["git", "-C", HERE, "describe", "--always", "--dirty= with changes"], "(.+)")
    return {
        "spanline": f"{_installed(python, 'spanline')} ({commit})",
        "numpy": _installed(python, "numpy"),
        "pyarrow": _installed(python, "pyarrow"),
        "tcpdump": _told(["tcpdump", "--version"], r"tcpdump version (\S+)"),
        "libpcap": _told(["tcpdump", "--version"], r"libpcap version (\S+)"),
        "tshark, capinfos": _told(["tshark", "--version"], r"TShark \(Wireshark\) (\d[\d.]*\d)"),
        "softflowd": _told(["softflowd", "-h"], r"softflowd version (\d[\d.]*\d)"),
        "nfpcapd": _told(["nfpcapd", "-V"], r"Version: \D*(\S+)"),
        "argus": _packaged("argus-server"),
        "tcptrace": _packaged("tcptrace"),
        "ndpiReader": _packaged("libndpi-bin"),
        "libtins": _packaged("libtins-dev"),
        **{package: _installed(python_with(package), package) for package in ("pcapy-ng", "dpkt", "scapy", "nfstream")},
    }
