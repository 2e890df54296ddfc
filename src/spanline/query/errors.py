"""What is wrong with a query, and where in it."""

from __future__ import annotations

from spanline.errors import TextError


class QueryError(TextError):
    """A query makes no sense. `text` is the query as it was read: without tags, on one line."""
