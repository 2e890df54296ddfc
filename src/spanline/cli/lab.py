"""`spanline lab`"""

from __future__ import annotations

import sys

import click

from spanline.cli.text import printable

_MIRRORS = ("span", "vxlan", "client-only", "doubled")


@click.group("lab")
def command() -> None:
    """Make a mirror to try spanline on: Linux, root, no cloud.

    \b
      client 10.0.0.5 ── switch ── 10.0.1.2 server
                            │
                            └── target span0

    The four are network namespaces, spanline-client and so on. The switch copies the server's frames to the target's
    card span0, where spanline runs. Nothing else of this machine is touched.
    """


@command.command("up")
@click.option(
    "--mirror",
    type=click.Choice(_MIRRORS),
    default="span",
    show_default=True,
    help="Plain copies, as from a SPAN port; in VXLAN, as from a cloud; only what the client sends; each frame twice.",
)
def up(mirror: str) -> None:
    """Make the lab; say what was made."""
    from typing import cast

    from spanline.lab.making import INTERFACE, TARGET_NAME, Mirror, make

    made = make(cast(Mirror, mirror))
    click.echo("made these network namespaces, and nothing outside of them:")
    for name, content in made.items():
        click.echo(f"  {name}  {content}")
    click.echo("run there what sees the mirror, with traffic, or for as long as you like:")
    click.echo(f"  spanline lab run spanline packets --allow-root live:{INTERFACE} -Y icmp")
    click.echo(f"  ip netns exec {TARGET_NAME} spanline plaintext --allow-root live:{INTERFACE}")
    if mirror == "vxlan":
        click.echo(f"  ip netns exec {TARGET_NAME} spanline flows --allow-root udp:4789")
    click.echo("and take all of it away again: spanline lab down")


@command.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", nargs=-1, metavar="[COMMAND]...", type=click.UNPROCESSED)
def run(words: tuple[str, ...]) -> None:
    """Send traffic; run COMMAND at the target meanwhile.

    The client pings the server, downloads a page and logs in by telnet, if these programs are installed. COMMAND is
    asked to end, as by Ctrl-C, when that is over; its exit code is ours.
    """
    from spanline.lab.running import run as run_all

    sys.exit(run_all(words, lambda line: click.echo(printable(line), err=True)))


@command.command("down")
def down() -> None:
    """Take the lab away, with all that runs in it."""
    from spanline.lab.making import unmake

    names, ended = unmake()
    if ended:
        click.echo(f"ended {', '.join(map(printable, ended))}")
    click.echo(f"removed the network namespaces {', '.join(names)}" if names else "there is no lab: nothing to remove")
