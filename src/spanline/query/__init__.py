"""The flow query language: text → tree → SQL → Table."""
