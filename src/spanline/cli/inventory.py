"""`spanline inventory`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spanline.cli.group import complain
from spanline.cli.options import Inputs, Output, reads_captures, writes

if TYPE_CHECKING:
    from spanline.enrich.learning import Sightings


@click.group("inventory")
def command() -> None:
    """Say what spanline knows of virtual machines and networks.

    An inventory is a YAML or CSV file that you write, or that Hyper-V, RVTools, PowerCLI or Oracle's CLI export;
    docs/inventory.md has all it can say. `spanline query --inventory FILE` answers by it.
    """


@command.command("check")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@writes("table", "json", "csv", "parquet")
def check(paths: tuple[str, ...], output: Output) -> None:
    """Read inventories together; show what they hold, what contradicts, and what they leave open.

    Of rows that contradict each other the first one counts. What cannot be read is told with file, line and column,
    and the exit code is 2.
    """
    from spanline.cli.inventory_view import print_check
    from spanline.cli.show import page, write
    from spanline.enrich import read_inventory
    from spanline.enrich.checking import check as check_inventory
    from spanline.enrich.checking import remark_table

    inventory = read_inventory(paths)
    remarks = check_inventory(inventory)
    if output.format == "table":
        with page(output) as target:
            print_check(inventory, remarks, target)
    else:
        write(remark_table(remarks), output)


@command.command("learn")
@reads_captures
def learn(inputs: Inputs) -> None:
    """Propose an inventory, in YAML, from what captures or a store show.

    Internal addresses by their MAC, the VLANs and VNIs they are in, gateways that many addresses are behind, and
    subnets around what was seen. Read it, write names instead of addresses, and give it to `spanline query`.
    """
    from spanline.cli.reading import account_for, conclude, follow, open_capture
    from spanline.enrich.learning import Sightings

    sightings = Sightings()
    if len(inputs.paths) == 1 and Path(inputs.paths[0], "spanline-store.json").is_file():
        sightings.add_store(inputs.paths[0])
        _propose(sightings)
        return
    capture = open_capture(inputs)
    for _ in follow(capture, sightings, quiet=inputs.quiet):
        pass
    _propose(sightings)
    account_for(capture, inputs)
    conclude(capture.problems)


def _propose(sightings: Sightings) -> None:
    from spanline.enrich.learning import MOST_SIGHTINGS
    from spanline.enrich.proposing import proposal

    for line in proposal(sightings.rows):
        click.echo(line)
    if sightings.left_out:
        complain(f"more than {MOST_SIGHTINGS:,} addresses: {sightings.left_out:,} are left out")
