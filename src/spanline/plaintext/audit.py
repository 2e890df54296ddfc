"""Who had secrets shown, when, and of which captures: a line of JSON each, in the user's state folder."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from spanline.errors import UsageError
from spanline.keeping import open_private_log, private_folder, state_folder
from spanline.sources.live import PREFIXES
from spanline.system import user_number

_FILE = "revealed.jsonl"


class AuditLog:
    """The log, open for a line to be added. Raises UsageError where it cannot be written: then nothing is shown."""

    def __init__(self) -> None:
        try:
            self.path = private_folder(state_folder()) / _FILE
            self._descriptor = open_private_log(self.path)
        except OSError as error:
            raise _unwritten(error) from error

    def record(self, command: str, options: Sequence[str], captures: Sequence[str], revealed: int) -> None:
        """Adds the line, and returns when the disk has it. To be called before anything is shown.

        command   "spanline plaintext"
        options   their names; what they were set to may hold a secret
        revealed  how many secrets will be shown
        """
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "uid": user_number(),
            "login": _login(),
            "sudo_user": os.environ.get("SUDO_USER"),
            "host": socket.gethostname(),
            "command": command,
            "options": list(options),
            "captures": [
                path if path == "-" or path.startswith(PREFIXES) else str(Path(path).absolute()) for path in captures
            ],
            "revealed": revealed,
        }
        octets = json.dumps(line).encode() + b"\n"
        try:
            if os.write(self._descriptor, octets) != len(octets):
                raise OSError(f"{self.path}: only a part of a line could be written")
            os.fsync(self._descriptor)
        except OSError as error:
            raise _unwritten(error) from error

    def close(self) -> None:
        os.close(self._descriptor)


def _login() -> str | None:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # users of containers have no name
        return None
    except ImportError:  # Windows
        return os.environ.get("USERNAME")


def _unwritten(error: OSError) -> UsageError:
    return UsageError(
        f"what is revealed cannot be logged: {error}",
        hint="let XDG_STATE_HOME name a folder that can be written to, or leave out --reveal",
    )
