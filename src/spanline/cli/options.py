"""Options that several commands share, and what they mean as objects."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import click

from spanline.errors import UsageError
from spanline.relay import cores
from spanline.sources.live import PREFIXES, Engine, LiveKeywords

Decorated = Callable[..., Any]

# What Python, Arrow, the pieces of the capture and of the output take beside the stages.
_PROGRAM = 160 << 20
_VXLAN, _GENEVE = "vxlan", "geneve"
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def seconds(text: str) -> float | None:
    """A number of seconds, or None for "off"."""
    if text == "off":
        return None
    number = _number_of_seconds(text)
    if number is None:
        raise click.BadParameter(f"{text!r} is neither a number of seconds above 0 nor 'off'")
    return number


def _duration(text: str) -> float:
    number = _number_of_seconds(text)
    if number is None:
        raise click.BadParameter(f"{text!r} is no number of seconds above 0; leave it out to go on until Ctrl-C")
    return number


def _number_of_seconds(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < 1e9 else None


def size_in_bytes(text: str) -> int:
    """Bytes of 500M, 1G, 1.5GiB; powers of 1024."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    count = round(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if not 0 < count < 1 << 50:
        raise click.BadParameter(f"{text!r} is not a size: write 500M or 1G")
    return count


def ports_decoded_as(text: str) -> tuple[str, frozenset[int]]:
    """(protocol, ports) of udp.port==4789,vxlan, where 4789-4791 and 4789:3 stand for several, as in tshark's -d."""
    layer, equals, rest = text.partition("==")
    selector, comma, protocol = rest.partition(",")
    if not equals or not comma:
        raise UsageError(f"-d {text!r}: not LAYER==PORT,PROTOCOL", hint="write -d udp.port==4789,vxlan")
    if layer.strip() != "udp.port":
        raise UsageError(f"-d {text!r}: {layer.strip()!r} cannot be chosen by", hint="only udp.port can")
    if protocol.strip() not in (_VXLAN, _GENEVE):
        what = f"-d {text!r}: not decoded as {protocol.strip()!r} on demand"
        raise UsageError(what, hint="only vxlan and geneve are")
    match = re.fullmatch(r"\s*(0x[0-9a-fA-F]+|\d+)\s*(?:([-:])\s*(0x[0-9a-fA-F]+|\d+))?\s*", selector)
    first = int(match[1], 0 if match[1].startswith("0x") else 10) if match else 0
    last = first
    if match and match[2]:
        second = int(match[3], 0 if match[3].startswith("0x") else 10)
        last = second if match[2] == "-" else first + second - 1
    if not 0 < first <= last <= 65535:
        raise UsageError(f"-d {text!r}: {selector.strip()!r} is no UDP port", hint="1 to 65535, N-M or N:COUNT")
    return protocol.strip(), frozenset(range(first, last + 1))


def _tunnel_ports(vxlan_port: int, decode_as: Sequence[str]) -> tuple[frozenset[int], frozenset[int]]:
    """The ports of VXLAN and those of GENEVE. What was said last of a port holds."""
    ports = {_VXLAN: {vxlan_port}, _GENEVE: {6081} - {vxlan_port}}
    for protocol, chosen in map(ports_decoded_as, decode_as):
        for known in ports.values():
            known.difference_update(chosen)
        ports[protocol].update(chosen)
    return frozenset(ports[_VXLAN]), frozenset(ports[_GENEVE])


def stage_memory(memory: int) -> int:
    """What stages may take of the bytes that spanline may take."""
    return max(memory - _PROGRAM, 1)


class WrittenPath(click.Path):
    """Of an option that names a file or folder which is written; every other click.Path is read."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What to read, and how."""

    paths: tuple[str, ...]
    vxlan_ports: frozenset[int]
    geneve_ports: frozenset[int]
    verify_checksums: bool
    capture_filter: str | None
    inner_filter: str | None
    display_filter: str | None
    threads: int
    quiet: bool
    live: LiveKeywords
    """What was said of how to capture."""
    user: str | None
    """Who goes on once a live source is open; None for who began."""
    allow_root: bool

    @property
    def parts(self) -> int:
        """Into how many tables flows are divided. While one of two threads has the only table, the other one reads."""
        return max(1, self.threads // 2)


@dataclass(frozen=True, slots=True)
class Output:
    """Where results go (None: standard output) and as what: table, json, csv or parquet.

    private  nobody else can read the file
    """

    path: str | None
    format: str
    private: bool = False


def _together(*decorators: Callable[[Decorated], Decorated]) -> Callable[[Decorated], Decorated]:
    """One decorator of several; the help lists them in this order."""
    return lambda function: functools.reduce(lambda made, decorate: decorate(made), reversed(decorators), function)


def _gives_inputs(function: Decorated) -> Decorated:
    @functools.wraps(function)
    def command(
        *,
        paths: tuple[str, ...],
        vxlan_port: int,
        decode_as: tuple[str, ...],
        capture_filter: str | None,
        inner_filter: str | None,
        quiet: bool,
        user: str | None,
        allow_root: bool,
        verify_checksums: bool = False,
        display_filter: str | None = None,
        threads: int | None = None,
        **others: Any,
    ) -> Any:
        who = user, allow_root
        ports = _tunnel_ports(vxlan_port, decode_as)
        filters = capture_filter, inner_filter, display_filter
        said = {name: others.pop(name, None) for name in _LIVE}
        live = cast(LiveKeywords, {name: value for name, value in said.items() if value is not None})
        # One thread keeps up with what comes, and leaves the other cores to whoever takes it from the network.
        usual = 1 if any(path.startswith(PREFIXES) for path in paths) else cores()
        inputs = Inputs(paths, *ports, verify_checksums, *filters, threads or usual, quiet, live, *who)
        return function(inputs=inputs, **others)

    return command


_INNER_FILTER = click.option(
    "--inner-filter",
    metavar="FILTER",
    help="The same language for the innermost frame of each packet, after decapsulation.",
)
_TUNNEL_PORTS = (
    click.option(
        "--vxlan-port",
        type=click.IntRange(1, 65535),
        default=4789,
        show_default=True,
        metavar="PORT",
        help="UDP destination port that carries VXLAN.",
    ),
    click.option(
        "-d",
        "decode_as",
        multiple=True,
        metavar="udp.port==N,PROTOCOL",
        help="UDP destination ports that carry vxlan, or geneve, too: N, N-M or N:COUNT, as tshark has it. Can be"
        " repeated.",
    ),
)


# How to capture, by the names that LiveOptions has for it.
_LIVE = tuple(LiveKeywords.__annotations__)


def _captures(live: str, duration: str, *snaplen: str) -> Callable[[Decorated], Decorated]:
    """How to capture, with the names of two options; `live` begins the help where not all sources are live."""
    return _together(
        click.option(
            duration,
            "duration",
            type=_duration,
            metavar="SECONDS",
            help=f"{live}End after so long. Default: at Ctrl-C.",
        ),
        click.option(
            "--source",
            "engine",
            type=click.Choice(get_args(Engine)),
            help=f"{live}Take frames by Linux' ring, which auto prefers, or by libpcap.",
        ),
        click.option(
            *snaplen,
            "snaplen",
            type=click.IntRange(1, 262144),
            metavar="BYTES",
            help=f"{live}Keep so much of each frame.",
        ),
        click.option(
            "-p",
            "--no-promiscuous",
            "promiscuous",
            flag_value=False,
            type=bool,
            default=None,
            help=f"{live}Only frames that are for this machine.",
        ),
        click.option(
            "--block-size",
            "block_bytes",
            type=size_in_bytes,
            metavar="SIZE",
            help=f"{live}Size of a block of the ring. Default: 8M.",
        ),
        click.option(
            "--blocks", type=click.IntRange(2, 65536), metavar="N", help=f"{live}Blocks in the ring. Default: 8."
        ),
        click.option("--user", metavar="NAME", help=f"{live}Go on as NAME, of root, once the socket is open."),
        click.option("--allow-root", is_flag=True, help=f"{live}Stay root, but without capabilities."),
    )


def reads_captures(function: Decorated) -> Decorated:
    """Gives the command `inputs`: Inputs."""
    return _together(
        click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(allow_dash=True)),
        click.option("-Y", "--display-filter", metavar="FILTER", help="Only frames that `tshark -Y FILTER` shows."),
        click.option(
            "-f", "--capture-filter", metavar="FILTER", help="Only frames that `tcpdump -r FILE FILTER` selects."
        ),
        _INNER_FILTER,
        *_TUNNEL_PORTS,
        click.option("--checksums", "verify_checksums", is_flag=True, help="Verify TCP, UDP and ICMP checksums."),
        click.option(
            "--threads",
            type=click.IntRange(1, 64),
            metavar="N",
            help="Work on N cores. Default: all of them for files, one live.",
        ),
        click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary; problems are still told."),
        _captures("live: ", "--duration", "-s", "--snaplen"),
    )(_gives_inputs(function))


def captures_frames(function: Decorated) -> Decorated:
    """Gives the command `inputs`: Inputs, of one live source. Limits have the names that Azure gives them."""
    given = _gives_inputs(function)

    @functools.wraps(function)
    def command(*, interface: str, filter: str | None, **others: Any) -> Any:
        path = interface if interface.startswith(PREFIXES) else f"live:{interface}"
        return given(paths=(path,), capture_filter=filter, **others)

    return _together(
        click.argument("interface", metavar="IFACE"),
        click.option("-f", "--filter", metavar="FILTER", help="Only frames that `tcpdump FILTER` captures."),
        _INNER_FILTER,
        *_TUNNEL_PORTS,
        click.option("-q", "--quiet", is_flag=True, help="No status line and no account; problems are still told."),
        _captures("", "--time-limit", "-s", "--bytes-per-packet"),
    )(command)


def shares_work(function: Decorated) -> Decorated:
    """Lets several processes do what the command does live; `memory` is for all of them together. Goes before
    makes_flows and reads_captures."""

    @functools.wraps(function)
    def command(*, workers: int | None, memory: int, **others: Any) -> Any:
        return function(workers=workers, memory=max(memory // (workers or 1), 1), **others)

    return click.option(
        "--workers",
        type=click.IntRange(1, 62),
        metavar="N",
        help="live: Share the work among N processes, each with a ring of its own. Default: 1.",
    )(command)


def makes_flows(function: Decorated) -> Decorated:
    """Gives the command `flow_options`: keyword arguments of stages.flows.Flows."""

    @functools.wraps(function)
    def command(
        *,
        idle_timeout: float | None,
        active_timeout: float | None,
        by_vlan: bool,
        no_vni: bool,
        memory: int,
        **others: Any,
    ) -> Any:
        flow_options = {
            "idle_timeout": idle_timeout,
            "active_timeout": active_timeout,
            "by_vlan": by_vlan,
            "by_vni": not no_vni,
            "memory": stage_memory(memory),
        }
        return function(flow_options=flow_options, **others)

    return _together(
        click.option(
            "--idle-timeout",
            type=seconds,
            default="120",
            show_default=True,
            metavar="SECONDS|off",
            help="A flow ends after this long without a packet.",
        ),
        click.option(
            "--active-timeout",
            type=seconds,
            default="1800",
            show_default=True,
            metavar="SECONDS|off",
            help="A flow that lasts longer is cut into several records.",
        ),
        click.option("--by-vlan", is_flag=True, help="Keep equal addresses in different VLANs apart."),
        click.option("--no-vni", is_flag=True, help="Tunnels do not separate flows."),
        click.option(
            "--memory",
            type=size_in_bytes,
            default="1G",
            show_default=True,
            metavar="SIZE",
            help="What spanline may take, 200M or more; beyond, the least recently used flows end early.",
        ),
    )(command)


def is_folder(path: str | None) -> bool:
    """Whether -o names a folder, which there may not be yet."""
    return path is not None and (path.endswith("/") or Path(path).is_dir())


def chosen(
    path: str | None, format: str | None, formats: tuple[str, ...], private: bool, folders: bool = False
) -> Output:
    """Where results go, of `path` and `format` as the user has them or None, and the first of `formats`.

    A folder's name tells no format, where `folders` can be written. What is asked for outright counts more than the
    suffix of a file's name. Raises click.UsageError.
    """
    if path == "-":
        path = None
    if format is None and path is not None and not (folders and is_folder(path)):
        format = Path(path).suffix[1:].lower()
        if format not in formats or format == "table":
            suffixes = ", ".join(f".{name}" for name in formats if name != "table")
            folder = f" {path}/ for a folder," if folders and not Path(path).suffix else ""
            raise click.UsageError(f"{path}: no format has this suffix; use {suffixes},{folder} or --format")
    format = format or formats[0]
    if format == "parquet" and path is None and sys.stdout.isatty():
        raise click.UsageError("terminals cannot show Parquet; write it to a file with -o flows.parquet")
    return Output(path, format, private)


def writes(
    *formats: str, required: bool = False, private: bool = False, folders: bool = False, instead: str = ""
) -> Callable[[Decorated], Decorated]:
    """Gives the command `output`: Output. The first of `formats` is what standard output gets by default, and folders,
    where `folders` can be written; nobody else can read a `private` file. `output` is None when the option `instead` is
    there in place of what is `required`."""

    def decorate(function: Decorated) -> Decorated:
        @functools.wraps(function)
        def command(*, format: str | None, output: str | None, **others: Any) -> Any:
            if required and output is None:
                if not instead or others[instead] is None:
                    option = f"-o' or '--{instead}" if instead else "-o"
                    raise click.UsageError(f"missing option '{option}'")
                if format is not None:
                    raise click.UsageError(f"--format is for -o, and --{instead} has its own")
                return function(output=None, **others)
            if instead and others[instead] is not None:
                raise click.UsageError(f"-o and --{instead} are two places; name one of them")
            return function(output=chosen(output, format, formats, private, folders), **others)

        suffixes = ", ".join(f".{name}" for name in formats if name != "table")
        where = "" if required else " instead of standard output"
        return _together(
            click.option(
                "-o",
                "--output",
                metavar="FILE",
                type=WrittenPath(allow_dash=True),
                help=f"Write to FILE{where}; its suffix ({suffixes}) tells the format.",
            ),
            click.option("--format", type=click.Choice(formats), help="Write this format."),
        )(command)

    return decorate
