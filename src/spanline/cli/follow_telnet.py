"""`spanline follow --telnet`: sessions as their users saw them."""

from __future__ import annotations

from spanline.cli.group import complain
from spanline.cli.options import Inputs, Output
from spanline.cli.reading import account_for, conclude, follow, open_capture
from spanline.cli.revealing import Revealing
from spanline.cli.show import page
from spanline.cli.telnet_view import print_sessions, session_objects
from spanline.cli.text import plural
from spanline.errors import UsageError
from spanline.output import open_stream, write_objects
from spanline.pipeline import Transform
from spanline.plaintext.redaction import Revealer
from spanline.stages.chosen_stream import ChosenStream
from spanline.stages.ends import stream
from spanline.stages.follow_telnet import TelnetSessions
from spanline.transforms.annotate import Annotate
from spanline.transforms.only_stream import OnlyStream


def follow_telnet(
    inputs: Inputs,
    output: Output,
    revealing: Revealing,
    wanted: str | None,
    playing: tuple[float, float] | None,
    memory: int,
) -> None:
    """Shows all sessions, or that of the stream `wanted`. `playing` is how fast to play them, and how long a pause may
    last, in seconds. Raises UsageError when there is none."""
    if playing is not None:
        from spanline.cli.replaying import replay, require_terminal

        require_terminal()
    chosen = None if wanted is None else ChosenStream(stream(wanted))
    shows = revealing.shows(output)
    stage = TelnetSessions(shows, memory=memory)
    transforms: list[Transform] = []
    if chosen is not None:
        transforms = [Annotate(applications=False), OnlyStream(chosen)]
    capture = open_capture(inputs)
    for _ in follow(capture, stage, transforms=transforms, quiet=inputs.quiet):
        stage.drain()
    sessions = stage.sessions()
    if not sessions:
        for problem in capture.problems:
            complain(str(problem))
        raise _missing(chosen)
    if isinstance(shows, Revealer):
        shows.revealed += sum(event.secret for one in sessions for event in one.session.events)
    revealing.record(inputs)
    if playing is not None:
        replay(sessions, shows, *playing)
    elif output.format == "json":
        with open_stream(output.path, private=output.private) as target:
            write_objects(session_objects(sessions, shows), target)
    else:
        with page(output) as console:
            print_sessions(sessions, shows, console)
    if stage.left_out:
        complain(f"{plural(stage.left_out, 'more session')} left out; --memory gives room for them")
    account_for(capture, inputs)
    conclude([*capture.problems, *stage.problems])


def _missing(chosen: ChosenStream | None) -> UsageError:
    if chosen is not None and chosen.number is None:
        return chosen.missing()
    where = "there" if chosen is None else f"in {chosen.transport}.stream {chosen.number}"
    return UsageError(f"no telnet session is {where}", hint="spanline plaintext lists what else is in the clear")
