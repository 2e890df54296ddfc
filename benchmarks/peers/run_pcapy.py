"""Read a capture with pcapy-ng's loop, which calls Python once a packet with its header and bytes; nothing is parsed.

Runs in a venv of its own. Prints, as JSON, packets and the seconds that the loop alone took.
"""

import json
import sys
import time

import pcapy

begin = time.perf_counter()
packets = octets = 0


def count(_: object, data: bytes) -> None:
    """What a callback must do at least."""
    global packets, octets
    packets += 1
    octets += len(data)


pcapy.open_offline(sys.argv[1]).loop(0, count)
print(json.dumps({"packets": packets, "seconds": time.perf_counter() - begin}))
