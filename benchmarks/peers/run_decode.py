"""Decode a capture to structured arrays and print, as JSON, packets and the seconds that the loop alone took.

run_decode.py CAPTURE [THREADS]
"""

import json
import sys
import time
from typing import Any

import spanline

# The option is given only where it is wanted: one thread is what everybody gets.
threads: dict[str, Any] = {"threads": int(sys.argv[2])} if len(sys.argv) > 2 else {}
# Nothing is read yet, but what spanline needs of numpy is imported.
capture = spanline.open(sys.argv[1], **threads)
begin = time.perf_counter()
packets = sum(len(batch.packets) for batch in capture)
print(json.dumps({"packets": packets, "seconds": time.perf_counter() - begin}))
