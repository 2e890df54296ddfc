"""`spanline follow --stream`: what the two ends of one stream said."""

from __future__ import annotations

import sys

from spanline.cli.group import complain
from spanline.cli.options import Inputs, Output
from spanline.cli.reading import account_for, conclude, follow, open_capture
from spanline.cli.revealing import Revealing
from spanline.cli.show import page
from spanline.cli.stream_view import Hides, left_out_text, nothing_hidden, print_stream, stream_objects, tshark_lines
from spanline.output import open_stream, write_objects
from spanline.plaintext.parsers import protocols
from spanline.plaintext.redaction import Revealer
from spanline.stages.chosen_stream import MOST_OTHERS
from spanline.stages.ends import stream
from spanline.stages.follow import Follow
from spanline.stages.follow_secrets import StreamSecrets
from spanline.transforms.annotate import Annotate


def follow_stream(
    inputs: Inputs, output: Output, revealing: Revealing, wanted: str, style: str, as_tshark: bool, memory: int
) -> None:
    """Shows what `wanted` names. Raises UsageError when there is none."""
    stage = Follow(stream(wanted), memory=memory)
    shows = revealing.shows(output)
    capture = open_capture(inputs)
    annotate = Annotate(details=True, applications=False)
    for _ in follow(capture, stage, transforms=[annotate], quiet=inputs.quiet):
        pass
    if stage.number is None:
        for problem in capture.problems:
            complain(str(problem))
        raise stage.missing()
    secrets = StreamSecrets(stage, protocols())
    hides: Hides = secrets.hides
    if isinstance(shows, Revealer):
        shows.revealed += secrets.count
        hides = nothing_hidden
    revealing.record(inputs)
    _show(stage, secrets, style, hides, as_tshark, output)
    _remark(stage, secrets)
    account_for(capture, inputs)
    conclude(capture.problems)


def _show(stage: Follow, secrets: StreamSecrets, style: str, hides: Hides, as_tshark: bool, output: Output) -> None:
    if output.format == "json":
        with open_stream(output.path, private=output.private) as target:
            write_objects(stream_objects(stage, style, hides), target)
    elif as_tshark:
        # On a terminal, a carriage return would let one line be written over another.
        unwanted = "\r" if output.path is None and sys.stdout.isatty() else ""
        with open_stream(output.path, private=output.private) as target:
            for line in tshark_lines(stage, style, hides):
                target.write(f"{line.replace(unwanted, '') if unwanted else line}\n".encode())
    else:
        with page(output) as console:
            print_stream(stage, secrets.names, style, hides, console)


def _remark(stage: Follow, secrets: StreamSecrets) -> None:
    """What the stream leaves out, on stderr."""
    if secrets.failed:
        complain(f"all is hidden: reading it as {' and '.join(secrets.failed)} failed, which is a fault of spanline's")
    if stage.left_out:
        complain(left_out_text(stage))
    if stage.others:
        numbers = ", ".join(map(str, stage.others)) + (", …" if len(stage.others) == MOST_OTHERS else "")
        complain(f"the same ends have other conversations: {stage.transport}.stream {numbers}")
