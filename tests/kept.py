"""What spanline keeps for its user, in tests: folders of a test's own, in which is what takes long to make.

Patterns, tables of protocols and the grammar of queries are compiled at their first use, in seconds, and sealed with
the key in the state folder: whoever has another key, or an empty cache, compiles them again, and whoever shares a cache
has them compiled anew for each key.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.commands import spawn, whole_capture
from tests.made_once import made_once

CACHE, STATE, CONFIG = "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"


def own_folders(factory: pytest.TempPathFactory, folder: Path) -> dict[str, str]:
    """The environment of a user for whom all this is kept below `folder`: cache/, state/ and config/."""
    begin_with_what_is_made(factory, folder / "cache", folder / "state")
    return _environment(folder)


def begin_with_what_is_made(factory: pytest.TempPathFactory, cache: Path, state: Path) -> None:
    """Puts into these folders what is compiled once, and its key."""
    made = made_once(factory, "kept", _make)
    shutil.copytree(made / "cache", cache, dirs_exist_ok=True)
    shutil.copytree(made / "state", state, dirs_exist_ok=True)


def _environment(folder: Path) -> dict[str, str]:
    return {name: str(folder / name.split("_")[1].lower()) for name in (CACHE, STATE, CONFIG)}


def _make(folder: Path) -> None:
    environment = os.environ | _environment(folder)
    capture = whole_capture(folder)
    for command in (("plaintext",), ("query", "count of flows", "--on")):
        ran = spawn(*command, capture, "-q", env=environment)
        assert ran.returncode == 0, ran.stderr
