"""The command line. One command a file, without logic: that is in analyses.py, stages/ and output.py."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs `spanline` and ends the process; cli/group.py has the exit codes."""
    try:
        from spanline.cli.group import run

        run()
    except KeyboardInterrupt:  # as early as during the imports
        sys.exit(130)
