"""What not all systems have, where it does not matter that some lack it.

Flags of os.open(): without NO_WAIT, opening a FIFO waits for its other end; NO_FOLLOW refuses symbolic links; without
BINARY, Windows changes line ends. What Python opens is closed in programs that are run, without any flag.
"""

from __future__ import annotations

import os

NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)
NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
BINARY: int = getattr(os, "O_BINARY", 0)


def user_number() -> int:
    """uid of this process; 0, as of the owner of every file, on Windows, where folders of users are private anyway."""
    return os.geteuid() if hasattr(os, "geteuid") else 0
