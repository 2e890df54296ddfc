"""`spanline plaintext` of a live capture: findings as they come."""

from __future__ import annotations

from spanline.cli.options import Inputs, Output
from spanline.cli.reading import follow
from spanline.cli.revealing import Revealing
from spanline.cli.show import arriving_findings
from spanline.pipeline import Capture
from spanline.stages.plaintext import Plaintext


def show_as_they_come(
    capture: Capture, stage: Plaintext, revealing: Revealing, inputs: Inputs, limit: int, output: Output
) -> None:
    """Shows the first `limit` findings of `stage`, all for 0, each as soon as it is known."""
    # A status line between rows would only be in their way.
    quiet = inputs.quiet or output.path is None
    with arriving_findings(limit, output) as show:
        for _ in follow(capture, stage, quiet=quiet):
            if stage.pending:
                findings = stage.drain()["findings"]
                revealing.record(inputs)
                show(findings)
        for findings in stage.rest():
            revealing.record(inputs)
            show(findings)
