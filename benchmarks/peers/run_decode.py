"""Decode a capture to structured arrays and print, as JSON, packets and the seconds that the loop alone took."""

import json
import sys
import time

import spanline

# Nothing is read yet, but what spanline needs of numpy is imported.
capture = spanline.open(sys.argv[1])
begin = time.perf_counter()
packets = sum(len(batch.packets) for batch in capture)
print(json.dumps({"packets": packets, "seconds": time.perf_counter() - begin}))
