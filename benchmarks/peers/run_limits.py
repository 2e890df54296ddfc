"""How fast frames are decoded that lie in the L2 cache already, into rows that stay there: no file, no Python between.

    run_limits.py CAPTURE

Prints, as JSON, 10⁶ packets a second and 10⁹ bytes of records a second: the best of some rounds over the same piece.
"""

import json
import sys
import time

import numpy as np
import numpy.typing as npt

from spanline import _decode, _framing
from spanline.chunk import Interfaces
from spanline.errors import Problem
from spanline.pool import Pool
from spanline.schema import PACKET_DTYPE, TUNNEL_DTYPE
from spanline.sources.capture_file import CaptureFile

MOST_BYTES = 640 << 10
"""Records and rows together; an L2 cache has 1 MiB or more on what servers have had since 2018."""
ROUNDS, SECONDS = 9, 0.15

problems: list[Problem] = []
interfaces = Interfaces()
file = CaptureFile(sys.argv[1], interfaces, problems, Pool())
chunk = next(file.chunks())
records = chunk.records
ends = records["offset"].astype(np.int64) + records["captured_length"]
taken = ends + np.arange(1, len(records) + 1) * (PACKET_DTYPE.itemsize + _framing.RECORD_SIZE)
count = int(np.searchsorted(taken, MOST_BYTES))
rows: npt.NDArray[np.uint8] = records[:count].copy().view(np.uint8)
data = chunk.buffer[: int(ends[count - 1])].copy()
packets = np.zeros(count, PACKET_DTYPE).view(np.uint8)
tunnels = np.zeros(1024 + count, TUNNEL_DTYPE).view(np.uint8)
decoder = _decode.Decoder()

best = 0.0
for _ in range(ROUNDS):
    turns, begin = 0, time.perf_counter()
    while (passed := time.perf_counter() - begin) < SECONDS:
        for _ in range(16):
            done, _ = decoder.decode(data, rows, interfaces.link_types, packets, tunnels, 0)
            assert done == count
        turns += 16
    best = max(best, turns * count / passed)
print(json.dumps({"mpps": best / 1e6, "gbps": best * data.size / count / 1e9, "packets": count}))
