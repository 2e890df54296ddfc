"""`spanline rtt --follow`: one conversation's handshake."""

from __future__ import annotations

from spanline.cli.group import complain
from spanline.cli.options import Inputs, Output
from spanline.cli.reading import account_for, conclude, follow, open_capture
from spanline.cli.show import show_conversation
from spanline.stages.chosen_stream import MOST_OTHERS
from spanline.stages.ends import conversation
from spanline.stages.handshake import Handshake
from spanline.transforms.annotate import Annotate


def follow_conversation(inputs: Inputs, output: Output, wanted: str, limit: int | None) -> None:
    """Shows what `wanted` names, the first `limit` frames of its handshake. Raises UsageError when there is none."""
    stage = Handshake(conversation(wanted))
    capture = open_capture(inputs)
    for _ in follow(capture, stage, transforms=[Annotate(details=True)], quiet=inputs.quiet):
        pass
    if stage.number is None:
        for problem in capture.problems:
            complain(str(problem))
        raise stage.missing()
    tables = stage.tables()
    show_conversation(stage.number, tables["flows"], tables["frames"], limit, stage.left_out, output)
    if stage.others:
        numbers = ", ".join(map(str, stage.others)) + (", …" if len(stage.others) == MOST_OTHERS else "")
        complain(f"the same ends have other conversations: tcp.stream {numbers}")
    account_for(capture, inputs)
    conclude(capture.problems)
