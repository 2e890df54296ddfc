"""One meeting of all clients with all servers, recorded behind every kind of mirror at once."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from spanline.lab.network import Direction
from tests.lab.network import Lab, Recording, Target, why_not
from tests.lab.servers import missing_servers, start
from tests.lab.sessions import Attempt, Sessions, hold, missing_clients

MIRRORS: dict[str, tuple[Direction, Target]] = {
    "both": ("both", "target"),
    "client": ("client", "target"),
    "doubled": ("doubled", "target"),
    "span": ("both", "probe"),
    "deaf": ("both", "deaf"),
}
"""Which frames are mirrored, and to whom, by the name of the recording."""


@dataclass(frozen=True)
class Recordings:
    """What was recorded, by the names of MIRRORS, and what was done meanwhile."""

    captures: dict[str, Recording]
    sessions: Sessions


def missing() -> str:
    """Why the lab cannot be built here; "" when it can."""
    return why_not() or why_not(*missing_servers(), *missing_clients())


def record(folder: Path) -> None:
    """Builds the lab, and records in a folder. `load` reads it."""
    with Lab() as lab:
        accounts = start(lab.server)
        with ExitStack() as mirrors:
            captures = {
                name: mirrors.enter_context(lab.record(folder / f"{name}.pcap", direction, to))
                for name, (direction, to) in MIRRORS.items()
            }
            sessions = hold(lab, accounts)
    told = {"vnis": {name: one.vni for name, one in captures.items()}, "sessions": sessions.as_json()}
    (folder / "told.json").write_text(json.dumps(told))


def load(folder: Path) -> Recordings:
    told = json.loads((folder / "told.json").read_text())
    sessions = told["sessions"]
    return Recordings(
        {name: Recording(folder / f"{name}.pcap", vni) for name, vni in told["vnis"].items()},
        Sessions(
            [Attempt(**one) for one in sessions["attempts"]],
            {int(port): commands for port, commands in sessions["commands"].items()},
            sessions["secrets"],
        ),
    )
