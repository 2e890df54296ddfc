"""spanline: mirrored network traffic in, flows and round-trip times out."""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from spanline.errors import CaptureError, OutputError, Problem, SpanlineError, UsageError

if TYPE_CHECKING:
    from spanline.analyses import flows
    from spanline.batch import Batch
    from spanline.pipeline import Capture, open

__version__ = _version("spanline")
__all__ = [
    "Batch",
    "Capture",
    "CaptureError",
    "OutputError",
    "Problem",
    "SpanlineError",
    "UsageError",
    "flows",
    "open",
]

# What needs numpy or pyarrow is imported when it is first used: `spanline --help` must not wait for it.
_LAZY = {
    "Batch": "spanline.batch",
    "Capture": "spanline.pipeline",
    "open": "spanline.pipeline",
    "flows": "spanline.analyses",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
