"""Makes data/countries.bin, which comes along, anew: python -m spanline.enrich.bundling FILE.mmdb"""

from __future__ import annotations

import sys
from pathlib import Path

from spanline.enrich.countries import bundle
from spanline.errors import UsageError

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m spanline.enrich.bundling FILE.mmdb")
    try:
        made = bundle(sys.argv[1])
    except UsageError as error:
        sys.exit(str(error))
    Path(__file__).with_name("data").joinpath("countries.bin").write_bytes(made)
    print(f"countries.bin: {len(made):,} bytes")
