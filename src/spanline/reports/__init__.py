"""Reports: titled queries in YAML (reading.py), answered over a store (answering.py), as one page of HTML that needs
nothing else (page.py)."""
