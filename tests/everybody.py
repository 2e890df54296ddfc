"""What other users than root need, to run spanline as the tests have it. Linux and root."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
"""Runs a command as a user who may nothing."""

CAPTURES = (*NOBODY, "--inh-caps=-all,+net_raw", "--ambient-caps=+net_raw", "--bounding-set=-all,+net_raw")
"""As one who may do nothing but open packet sockets: what the unit for systemd asks for."""

# Where the superuser's folders hide Python, nobody else finds it: copies of them, for this process alone, do not.
SHOWN = """
mount -t tmpfs none /mnt
while [ "$1" != -- ]; do
    if [ "$(( 0$(stat -c %a "$1") & 1 ))" = 0 ]; then
        mkdir -p "/mnt$1/upper" "/mnt$1/work"
        mount -t overlay none -o "lowerdir=$1,upperdir=/mnt$1/upper,workdir=/mnt$1/work" "$1"
        chmod o+x "$1"
    fi
    shift
done
shift
exec "$@"
"""


def shown(*command: str | Path) -> list[str]:
    """The command line that runs `command` where any user finds Python and spanline."""
    needed = [Path(one).resolve() for one in (sys.prefix, sys.base_prefix, *filter(None, sys.path), TOP)]
    parents = sorted({str(parent) for path in needed if path.exists() for parent in path.parents} - {"/"})
    return ["unshare", "--mount", "bash", "-euc", SHOWN, "-", *parents, "--", *map(str, command)]


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that everybody finds and may write to, which tmp_path is not."""
    folder = Path(tempfile.mkdtemp(prefix="spanline-", dir="/tmp"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
