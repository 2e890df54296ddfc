"""`spanline follow`"""

from __future__ import annotations

import click
from click.core import ParameterSource

from spanline.cli.options import Inputs, Output, reads_captures, size_in_bytes, writes
from spanline.cli.revealing import Revealing, reveals

# An option, the name of its value, and the option that it is for.
_ABOUT = (
    ("--as", "style", "--stream", "wanted"),
    ("--as-tshark", "as_tshark", "--stream", "wanted"),
    ("--replay", "replay", "--telnet", "telnet"),
    ("--speed", "speed", "--replay", "replay"),
    ("--longest-pause", "longest_pause", "--replay", "replay"),
)


@click.command("follow")
@click.option(
    "--stream",
    "wanted",
    metavar="STREAM",
    help="The stream to follow: tcp.stream==N, udp.stream==N, or its two ends, A:port,B:port.",
)
@click.option("--as", "style", type=click.Choice(("text", "hex", "raw")), default="text", show_default=True,
              help="How to show bytes.")  # fmt: skip
@click.option("--as-tshark", is_flag=True, help="Print the stream as tshark -q -z follow prints it.")
@click.option("--telnet", is_flag=True, help="Show telnet sessions as their users saw them: all, or that of --stream.")
@click.option("--replay", is_flag=True, help="Play the sessions on the terminal, as fast as they were.")
@click.option("--speed", type=click.FloatRange(0.01, 1000), default=1.0, metavar="N", show_default=True,
              help="Play N times as fast.")  # fmt: skip
@click.option("--longest-pause", type=click.FloatRange(0, 86400), default=2.0, metavar="SECONDS", show_default=True,
              help="Play longer pauses as long as this.")  # fmt: skip
@click.option("--memory", type=size_in_bytes, default="256M", show_default=True, metavar="SIZE",
              help="What is kept of payload; what has no room is left out, and counted.")  # fmt: skip
@reveals
@writes("table", "json", private=True)
@reads_captures
def command(
    inputs: Inputs,
    output: Output,
    revealing: Revealing,
    wanted: str | None,
    style: str,
    as_tshark: bool,
    telnet: bool,
    replay: bool,
    speed: float,
    longest_pause: float,
    memory: int,
) -> None:
    """Show what the two ends of a conversation said.

    With --stream it is Wireshark's Follow Stream: the payload of both directions, in order and once each. N is
    tshark's tcp.stream or udp.stream; an end is 10.0.0.1:443 or [2001:db8::1]:443, and either may come first. With
    --telnet it is each session as its user saw it, with typed lines apart from printed ones and with times.

    Passwords and other secrets are left out, as far as the protocol is one that `spanline plaintext` reads. Files are
    made readable for you alone.

    spanline is for those who may monitor the network they monitor.
    """
    _require_sense(wanted, telnet, as_tshark, replay, output)
    if telnet:
        from spanline.cli.follow_telnet import follow_telnet

        playing = (speed, longest_pause) if replay else None
        follow_telnet(inputs, output, revealing, wanted, playing, memory)
    else:
        from spanline.cli.follow_stream import follow_stream

        assert wanted is not None
        follow_stream(inputs, output, revealing, wanted, style, as_tshark, memory)


def _require_sense(wanted: str | None, telnet: bool, as_tshark: bool, replay: bool, output: Output) -> None:
    """Raises click.UsageError for options that have nothing to say to one another."""
    if wanted is None and not telnet:
        raise click.UsageError("nothing to follow is named: give --stream tcp.stream==N, or --telnet")
    for option, name, about, needed in _ABOUT:
        if _is_given(name) and not _is_given(needed):
            raise click.UsageError(f"{option} is for {about}")
    for option, name in (("--as", "style"), ("--as-tshark", "as_tshark")):
        if telnet and _is_given(name):
            raise click.UsageError(f"{option} shows bytes, and --telnet what was on the screen; leave one of them out")
    if as_tshark and output.format != "table":
        raise click.UsageError(f"--as-tshark is text, and not {output.format}")
    if replay and (output.format != "table" or output.path is not None):
        raise click.UsageError("--replay plays on the terminal: no --format, no -o")


def _is_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT
