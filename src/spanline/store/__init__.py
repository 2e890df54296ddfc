"""Weeks of flows in a folder of immutable Parquet segments: Store."""

from spanline.store.store import Store

__all__ = ["Store"]
