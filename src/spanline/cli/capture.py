"""`spanline capture`"""

from __future__ import annotations

from pathlib import Path

import click

from spanline.cli.options import (
    Inputs,
    WrittenPath,
    captures_frames,
    seconds,
    size_in_bytes,
)
from spanline.cli.store_option import stores_flows
from spanline.errors import UsageError

_COMPRESSIONS = {"zstd": ".zst", "lz4": ".lz4"}
_FILES = (".pcap", ".pcapng", ".cap")
"""What nobody calls a folder. As tcpdump's, -w would be a file."""


def _as_folder(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """What is written to is a folder, also when there is none yet."""
    if value is None:
        return None
    if value == "-" or (value.lower().endswith(_FILES) and not Path(value).is_dir()):
        what = f"-w {value}: segments are written into a folder"
        raise UsageError(what, hint=f"into one file, or a pipe: spanline packets live:IFACE -w {value}")
    return f"{value.rstrip('/')}/"


@click.command("capture")
@click.option(
    "-w",
    "--write",
    "folder",
    metavar="DIR",
    type=WrittenPath(file_okay=False),
    callback=_as_folder,
    help="Write segments into the folder DIR, which is made if there is none.",
)
@click.option(
    "--serve",
    metavar="[ADDRESS:]PORT",
    help="Send the frames to whoever connects: Wireshark's TCP@HOST:PORT. ADDRESS is this machine if left out.",
)
@click.option(
    "--segment-size",
    type=size_in_bytes,
    default="1G",
    show_default=True,
    metavar="SIZE",
    help="Begin a new segment before one is larger, before compression.",
)
@click.option("--segment-time", type=seconds, metavar="SECONDS", help="Begin a new segment after this time.")
@click.option("--segment-packets", type=click.IntRange(1), metavar="N", help="Begin a new segment after N frames.")
@click.option(
    "--keep",
    type=click.IntRange(2),
    metavar="N",
    help="Keep the last N segments, and delete older ones, of earlier captures with --keep too.",
)
@click.option("--keep-size", type=size_in_bytes, metavar="SIZE", help="Keep the last segments that SIZE has room for.")
@click.option("--compress", type=click.Choice(list(_COMPRESSIONS)), help="Compress segments as they are written.")
@click.option(
    "--bytes-per-session", type=size_in_bytes, metavar="SIZE", help="End with the frame that makes it so many bytes."
)
@stores_flows
@captures_frames
def command(
    inputs: Inputs,
    store: str | None,
    folder: str | None,
    serve: str | None,
    segment_size: int,
    segment_time: float | None,
    segment_packets: int | None,
    keep: int | None,
    keep_size: int | None,
    compress: str | None,
    bytes_per_session: int | None,
) -> None:
    """Capture frames at IFACE into a folder, or their flows into a store, or both, until Ctrl-C.

    IFACE is an interface, eth0, or udp:4789, the VXLAN datagrams that a mirror sends to a port. Segments are pcapng
    files eth0-20261122T161500.123456Z-000001.pcapng. One that is being written ends in .part, and spanline info says
    what is in it; what has its final name is whole and on the disk. Nobody else can read them.

    The last line on stderr accounts for every frame.
    """
    from spanline.cli.capturing import capture_frames
    from spanline.segments import Rotation

    if folder is None and serve is None and store is None:
        raise click.UsageError(
            "nothing to do with the frames: -w DIR writes them, --serve PORT sends them, --store DIR keeps their flows"
        )
    if folder is None and (keep or keep_size or compress or segment_time or segment_packets):
        raise UsageError("there are no segments without a folder", hint="add -w DIR")
    rotation = Rotation(segment_size, segment_time, segment_packets, keep, keep_size)
    suffix = _COMPRESSIONS[compress] if compress else ""
    capture_frames(inputs, folder, rotation, suffix, serve, store, bytes_per_session)
