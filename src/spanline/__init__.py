"""spanline: mirrored network traffic in, flows and round-trip times out."""

from typing import TYPE_CHECKING, Any

from spanline.errors import CaptureError, OutputError, Problem, SpanlineError, UsageError

if TYPE_CHECKING:
    from spanline.analyses import flows
    from spanline.batch import Batch
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
]

# What takes long to import is imported when it is first used: `spanline --help` must not wait for it.
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
    if name == "__version__":
        from importlib.metadata import version

        return version("spanline")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
