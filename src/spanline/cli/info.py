"""`spanline info`"""

from __future__ import annotations

import click

from spanline.cli.options import Inputs, Output, reads_captures, writes


@click.command("info")
@writes("table", "json", "csv", "parquet")
@reads_captures
def command(inputs: Inputs, output: Output) -> None:
    """Tell what is in capture files.

    For each file what capinfos tells: format, interfaces, size, time and rates. Besides, which protocol stacks it has
    and how far its frames could be read. For several files also their total. CSV and Parquet have a row for each file,
    without the lists that JSON has.
    """
    from spanline.cli.informing import describe_all
    from spanline.cli.reading import conclude
    from spanline.cli.show import show_descriptions

    problems = show_descriptions(describe_all(inputs), output)
    conclude(problems)
