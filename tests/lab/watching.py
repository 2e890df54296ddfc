"""One visit of a client at a server, watched live behind every kind of mirror at once, with tcpdump beside each."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanline.lab.network import MIRROR_SOURCE, SERVER, Direction, cable, copy, reach, stop_copying, wrap
from tests.commands import PROGRAM
from tests.lab import servers, sessions, wrapped
from tests.lab.hosts import Host, takes_frames, wait_for
from tests.lab.network import Lab, dump, why_not
from tests.lab.servers import Account

HYPER_V_SOURCE = "192.168.101.215"
INTERNET = "198.51.100.1"
OCI_PING = ("ping", "-c", "5", "-s", "300", SERVER)
HYPER_V_PING = ("ping", "-c", "5", "-I", HYPER_V_SOURCE, INTERNET)


@dataclass(frozen=True)
class Place:
    """Where a mirror's frames arrive: an interface of its own, of the name that it has here.

    direction  None where frames are crafted
    vni        None of plain copies
    host       "target", where a device takes VXLAN, or "deaf", where only what is tested does
    """

    direction: Direction | None
    vni: int | None = None
    host: str = "target"


PLACES = {
    "span": Place("both"),
    "vxlan": Place("both", 5001),
    "one-way": Place("client", 5002),
    "doubled": Place("doubled"),
    "datagrams": Place("both", 5003, "deaf"),
    "crafted": Place(None),
}

_FLOWS = ("--format", "json", "--idle-timeout", "off", "-n", "0")
_ICMP = ("-Y", "icmp", "-T", "fields", *(f"-e{name}" for name in ("frame.len", "ip.src", "ip.dst", "icmp.type")))
FIELDS = _ICMP
"""What is asked of spanline and of tshark about pings."""

WATCHERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "span": ("span", ("flows", "live:span", *_FLOWS)),
    "span by libpcap": ("span", ("flows", "live:span", "--source", "libpcap", *_FLOWS)),
    "vxlan": ("vxlan", ("flows", "live:vxlan", *_FLOWS)),
    "one-way": ("one-way", ("flows", "live:one-way", *_FLOWS)),
    "doubled": ("doubled", ("flows", "live:doubled", *_FLOWS)),
    "datagrams": ("datagrams", ("flows", "udp:4789", *_FLOWS)),
    "crafted": ("crafted", ("flows", "live:crafted", *_FLOWS)),
    "crafted by libpcap": ("crafted", ("flows", "live:crafted", "--source", "libpcap", *_FLOWS)),
    "pings of Hyper-V": ("span", ("packets", "live:span", *_ICMP)),
    "pings of OCI": ("vxlan", ("packets", "live:vxlan", *_ICMP)),
    "plaintext": ("vxlan", ("plaintext", "live:vxlan")),
    "revealed": ("vxlan", ("plaintext", "live:vxlan", "--reveal-anyway")),
}
"""Commands of spanline, and the place at which each watches."""


@dataclass(frozen=True)
class Watched:
    """What came of it.

    captures    tcpdump's file of each place
    output      of each watcher, on standard output and standard error
    before_end  the same of standard output when the traffic was over, and the watchers still watched
    codes       their exit codes
    account     of the telnet login
    """

    captures: dict[str, Path]
    output: dict[str, tuple[str, str]]
    before_end: dict[str, str]
    codes: dict[str, int]
    account: Account


def missing() -> str:
    """Why it cannot be done here; "" when it can."""
    return why_not("inetutils-inetd", "telnetd", "useradd", "chpasswd", "telnet", "setsid", "curl", "ping", "tshark")


def watch(folder: Path) -> None:
    """Does all of it, and writes what came of it into a folder. `load` reads it."""
    with Lab() as lab:
        account = servers.telnet(lab.server)
        lab.server.start(sys.executable, "-m", "http.server", "--bind", SERVER, "80", "--directory", "/usr/share/doc")
        wait_for("the web server", lambda: lab.server.listens("tcp", 80))
        _connect_more(lab)
        before_end = {}
        with ExitStack() as stack:
            for name, place in PLACES.items():
                stack.enter_context(dump(_host(lab, place), name, folder / f"{name}.pcap", "ip or vlan"))
            watchers = {
                name: stack.enter_context(_watcher(_host(lab, PLACES[place]), arguments, folder / name))
                for name, (place, arguments) in WATCHERS.items()
            }
            for process in watchers.values():
                process.wait_until_it_captures()
            with _mirrors(lab):
                _visit(lab, account)
                # What is asked for and answered last takes a moment through the mirror, too.
                time.sleep(0.3)
            _wait_for_findings(folder / "plaintext.out")
            for name in WATCHERS:
                before_end[name] = (folder / f"{name}.out").read_text()
        codes = {name: process.code for name, process in watchers.items()}
    secret = {"name": account.name, "password": account.password, "wrong": account.wrong}
    (folder / "told.json").write_text(json.dumps({"before_end": before_end, "codes": codes, "account": secret}))


def load(folder: Path) -> Watched:
    told = json.loads((folder / "told.json").read_text())
    return Watched(
        {name: folder / f"{name}.pcap" for name in PLACES},
        {name: ((folder / f"{name}.out").read_text(), (folder / f"{name}.err").read_text()) for name in WATCHERS},
        told["before_end"],
        told["codes"],
        Account(**told["account"]),
    )


def _host(lab: Lab, place: Place) -> Host:
    return lab.target if place.host == "target" else lab.deaf


def _connect_more(lab: Lab) -> None:
    """A cable for each place, and the addresses of the tutorial for Hyper-V."""
    for n, (name, place) in enumerate(PLACES.items()):
        host = _host(lab, place)
        cable(lab.switch, f"to-{name}", host, name)
        if place.vni is not None:
            address = f"10.0.2.{n}"
            reach(lab.switch, f"to-{name}", address)
            host.ip("address", "add", address, "peer", MIRROR_SOURCE, "dev", name)
            wrap(lab.switch, f"vxlan{place.vni}", place.vni, address)
    for host, own, other in ((lab.client, HYPER_V_SOURCE, INTERNET), (lab.server, INTERNET, HYPER_V_SOURCE)):
        host.ip("address", "add", f"{own}/32", "dev", "eth0")
        host.ip("route", "add", other, "dev", "eth0", "src", own)


@contextmanager
def _mirrors(lab: Lab) -> Generator[None, None, None]:
    """They copy only while the context lasts: everybody watches before, and until after."""
    mirrors = [
        (place.direction, f"to-{name}" if place.vni is None else f"vxlan{place.vni}", 100 + n)
        for n, (name, place) in enumerate(PLACES.items())
        if place.direction is not None
    ]
    for direction, device, priority in mirrors:
        copy(lab.switch, direction, device, priority)
    try:
        yield
    finally:
        for direction, _, priority in mirrors:
            stop_copying(lab.switch, direction, priority)


def _visit(lab: Lab, account: Account) -> None:
    send = (sys.executable, Path(__file__).parent / "send_frames.py", "to-crafted")
    with ThreadPoolExecutor() as pool:
        visits: list[Future[Any]] = [
            pool.submit(lab.client.run, *OCI_PING),
            pool.submit(lab.client.run, *HYPER_V_PING),
            pool.submit(sessions.telnet, lab.client, account),
            *(pool.submit(lab.client.run, "curl", "-s", "-S", "-m", "30", f"http://{SERVER}/") for _ in range(3)),
            pool.submit(lab.switch.run, *send, feed="".join(f"{frame.hex()}\n" for frame in wrapped.frames())),
            pool.submit(lab.client.run, "bash", "-c", f"for n in 1 2 3; do echo $n >/dev/udp/{SERVER}/514; done"),
        ]
        for visit in visits:
            visit.result()


def _wait_for_findings(shown: Path) -> None:
    """Until the outcome of the last login is shown, or should have been long ago, which is for a test to tell."""
    end = time.monotonic() + 5
    while " accepted" not in shown.read_text() and time.monotonic() < end:
        time.sleep(0.05)


class Watcher:
    """A command of spanline on a host.

    code  its exit code, once it has ended
    """

    def __init__(self, host: Host, process: subprocess.Popen[bytes]) -> None:
        self.code: int | None = None
        self._host = host
        self._process = process

    def wait_until_it_captures(self) -> None:
        wait_for("spanline to capture", self._captures)

    def _captures(self) -> bool:
        assert self._process.poll() is None, "spanline ended at once"
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return any(takes_frames(int(child)) for child in path.read_text().split())

    def stop(self) -> None:
        self._host.stop(self._process)
        self.code = self._process.returncode


@contextmanager
def _watcher(host: Host, arguments: tuple[str, ...], path: Path) -> Generator[Watcher, None, None]:
    """Its output goes to files of that path."""
    with path.with_suffix(".out").open("wb") as out, path.with_suffix(".err").open("wb") as err:
        watcher = Watcher(host, host.start(*PROGRAM, *arguments, "--allow-root", stdout=out, stderr=err))
        yield watcher
        watcher.stop()
