"""`spanline plaintext`"""

from __future__ import annotations

import click

from spanline.cli.options import Inputs, Output, reads_captures, shares_work, size_in_bytes, writes
from spanline.cli.revealing import Revealing, reveals


@click.command("plaintext")
@click.option(
    "--rules",
    "rule_files",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="Also look for what this YAML file says; while a pipe is read, changes of it count at once. Can be repeated.",
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(0),
    metavar="N",
    help="This many findings; 0 is all. Default: 40 in a table of files, else all.",
)
@click.option(
    "--head-bytes",
    type=size_in_bytes,
    default="4K",
    show_default=True,
    metavar="SIZE",
    help="Look for rules in so much of what each side of a conversation sends first, and for protocols in 1K of it.",
)
@click.option(
    "--claimed-bytes",
    type=size_in_bytes,
    default="1M",
    show_default=True,
    metavar="SIZE",
    help="Read so much of each side of a conversation that is in the clear.",
)
@click.option("--by-vlan", is_flag=True, help="Keep equal addresses in different VLANs apart.")
@click.option("--no-vni", is_flag=True, help="Tunnels do not separate conversations.")
@click.option(
    "--memory",
    type=size_in_bytes,
    default="256M",
    show_default=True,
    metavar="SIZE",
    help="What conversations may take; beyond, the least recently used are given up.",
)
@reveals
@writes("table", "json", "csv", "parquet", private=True)
@shares_work
@reads_captures
def command(
    inputs: Inputs,
    output: Output,
    revealing: Revealing,
    rule_files: tuple[str, ...],
    limit: int | None,
    head_bytes: int,
    claimed_bytes: int,
    by_vlan: bool,
    no_vni: bool,
    memory: int,
) -> None:
    """Find logins and services that are not encrypted.

    One row for each attempt to log in: who, from where to where, whether it was accepted, and what to do about it.
    Protocols are known by what they say, on any port. Live, each row comes when its attempt is known.

    Instead of a secret its length is shown, and a number that is the same for the same secret; without the key of this
    installation nobody can try words with it. Only you can read the files that are written.

    spanline is for those who may monitor the network they monitor.
    """
    from spanline.cli.group import complain
    from spanline.cli.plaintext_live import show_as_they_come
    from spanline.cli.plaintext_view import account
    from spanline.cli.reading import account_for, begin, conclude, follow, name_capture
    from spanline.cli.show import show_findings
    from spanline.plaintext.rules import WatchedRules, read_rules
    from spanline.stages.plaintext import ROWS_AT_ONCE, Plaintext, in_order

    shows = revealing.shows(output)
    capture = name_capture(inputs)
    if limit is None:
        limit = 40 if output.format == "table" and capture.listening is None else 0
    is_endless = capture.bytes_total is None  # as what tcpdump pipes into it
    stage = Plaintext(
        shows,
        rules=WatchedRules(rule_files) if rule_files and is_endless else read_rules(rule_files),
        by_vlan=by_vlan,
        by_vni=not no_vni,
        memory=memory,
        head_bytes=head_bytes,
        claimed_bytes=claimed_bytes,
    )
    begin(capture, inputs)
    if capture.listening is not None:
        show_as_they_come(capture, stage, revealing, inputs, limit, output)
    else:
        parts = []
        for _ in follow(capture, stage, quiet=inputs.quiet):
            if stage.pending >= ROWS_AT_ONCE:
                parts.append(stage.drain()["findings"])
        parts += stage.rest()
        revealing.record(inputs)
        show_findings(in_order(parts), limit, output)
    if not inputs.quiet:
        complain(account(stage))
    account_for(capture, inputs)
    conclude([*capture.problems, *stage.problems])
