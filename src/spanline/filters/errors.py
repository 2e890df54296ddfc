"""What is wrong with a display filter, and where in it."""

from __future__ import annotations

from spanline.errors import TextError


class FilterError(TextError):
    """A display filter makes no sense."""
