"""Writes to a store until it is killed: python -m tests.store_writer FOLDER SEED. A line for what is in it for sure.

It does not wait for the disk: a kill loses nothing that the system has.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from spanline.store import Store
from tests.stored import some_flows

ROWS = 200


def main(folder: Path, seed: int) -> None:
    os.fsync = lambda descriptor: None
    hours = [some_flows(ROWS, hour, hour) for hour in range(4)]
    store = Store(folder, create=True)
    print("ready", flush=True)
    for n in range(10_000):
        with store.writing(is_live=True) as writer:
            for k in range(6):
                writer.write(hours[(seed + n + k) % 4])
                writer.commit()
                print(f"committed {ROWS}", flush=True)
        store.compact()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
