"""spanline: mirrored network traffic in, flows and round-trip times out."""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would have to be imported

if TYPE_CHECKING:
    from typing import Any

    from spanline import query
    from spanline.analyses import flows
    from spanline.batch import Batch
    from spanline.errors import CaptureError, OutputError, Problem, SpanlineError, UsageError
    from spanline.pipeline import Capture, open

    __version__: str

__all__ = [
    "Batch",
    "Capture",
    "CaptureError",
    "OutputError",
    "Problem",
    "SpanlineError",
    "UsageError",
    "__version__",
    "flows",
    "open",
    "query",
]

# Nothing is imported before it is used: `spanline --help` must not wait for it, and the first thing that the program
# does is to see to signals.
_LAZY = {
    **dict.fromkeys(("CaptureError", "OutputError", "Problem", "SpanlineError", "UsageError"), "spanline.errors"),
    "Batch": "spanline.batch",
    "Capture": "spanline.pipeline",
    "open": "spanline.pipeline",
    "flows": "spanline.analyses",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    if name == "query":  # a package that can be called
        import importlib

        return importlib.import_module("spanline.query")
    if name == "__version__":
        from importlib.metadata import version

        return version("spanline")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
