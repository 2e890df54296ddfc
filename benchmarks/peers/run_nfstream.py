"""Flows with nfstream, set to the least work: no application recognised, no statistics, spanline's timeouts.

Runs in a venv of its own. Prints, as JSON, packets, flows and the seconds that the loop alone took.
"""

import json
import sys
import time

from nfstream import NFStreamer  # type: ignore[import-not-found,import-untyped,unused-ignore]

# nfstream starts processes, which import this file again where they are not forked.
if __name__ == "__main__":
    begin = time.perf_counter()
    packets = flows = 0
    for flow in NFStreamer(source=sys.argv[1], n_dissections=0, idle_timeout=120, active_timeout=1800):
        flows += 1
        packets += flow.bidirectional_packets
    print(json.dumps({"packets": packets, "flows": flows, "seconds": time.perf_counter() - begin}))
